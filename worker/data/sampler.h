// Which samples an optimizer step trains on: a pure function of (seed, step), the same for every
// world size.
#pragma once

#include <cstdint>
#include <vector>

namespace dropbp::data {

// Each epoch is a Philox shuffle of all samples under (seed, epoch); steps walk through the endless
// row of epochs, so a step may begin in one epoch and end in the next. Immutable but for a cache of
// one epoch's order; one thread.
class Sampler {
 public:
  Sampler(int64_t samples, int64_t global_batch_size, uint64_t seed);

  // Indices of the global batch of a step, in order; its size is global_batch_size.
  // Rank r of w trains on the contiguous part [r * n / w, (r + 1) * n / w), micro-batch by
  // micro-batch.
  std::vector<int64_t> GlobalBatch(int64_t step);

 private:
  const std::vector<int64_t>& Epoch(int64_t epoch);

  int64_t samples_;
  int64_t global_batch_size_;
  uint64_t seed_;
  int64_t cached_epoch_ = -1;
  std::vector<int64_t> cached_order_;
};

}  // namespace dropbp::data
