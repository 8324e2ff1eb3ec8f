// Which samples an optimizer step trains on: a pure function of (seed, step), the same for every
// world size.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/philox.h"

namespace dropbp::data {

// Each epoch is a Philox shuffle of all samples under (seed, epoch); steps walk through the endless
// row of epochs, so a step may begin in one epoch and end in the next. Immutable but for a cache of
// one epoch's order; one thread.
//
// Note [Similar lengths]
// Where lengths are given, the samples of a step are of similar lengths, as with transformers'
// group_by_length: the shuffled order is cut into stretches of 50 steps (of a quarter of the epoch,
// if that is less), each is sorted by length and cut into steps, and the steps of the whole epoch
// are shuffled. Where an epoch begins or ends within a step, it gives that step samples as they
// come in the shuffled order.
class Sampler {
 public:
  // `lengths`: of the samples; empty: they do not matter.
  Sampler(int64_t samples, int64_t global_batch_size, uint64_t seed,
          std::vector<int64_t> lengths = {});

  // Indices of the global batch of a step, in order; its size is global_batch_size.
  // Rank r of w trains on the contiguous part [r * n / w, (r + 1) * n / w), micro-batch by
  // micro-batch.
  std::vector<int64_t> GlobalBatch(int64_t step);

 private:
  const std::vector<int64_t>& Epoch(int64_t epoch);
  void GroupByLength(int64_t epoch, PhiloxStream& random);

  int64_t samples_;
  int64_t global_batch_size_;
  uint64_t seed_;
  std::vector<int64_t> lengths_;
  int64_t cached_epoch_ = -1;
  std::vector<int64_t> cached_order_;
};

}  // namespace dropbp::data
