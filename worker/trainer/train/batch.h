// From tokenised samples to the tensors of one optimizer step.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <vector>

#include "absl/types/span.h"
#include "core/job/job_spec.h"
#include "worker/data/dataset.h"
#include "worker/data/sampler.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// One forward pass. Rows are padded on the right to the longest of them; padding carries no loss.
struct MicroBatch {
  at::Tensor ids;             // [batch, sequence], int64
  at::Tensor targets;         // [batch, sequence], int64: the token to predict AT each position, or
                              // -100; none is predicted from another sample's tokens
  RowSegments segments = {};  // where samples share rows

  TokenBatch tokens() const { return {ids, segments}; }
  int64_t positions() const { return ids.numel(); }  // padding included: what compute is spent on
};

// What one rank trains on in one optimizer step.
struct StepBatch {
  std::vector<MicroBatch> micro_batches;
  int64_t tokens = 0;             // of the global batch, padding not counted
  int64_t supervised_tokens = 0;  // of the global batch
};

// Stacks rows of samples into one micro-batch on `device`.
MicroBatch StackRows(const std::vector<data::Sample>& samples, absl::Span<const data::Row> rows,
                     c10::Device device);
// The same for samples[indices], each in a row of its own.
MicroBatch MakeMicroBatch(const std::vector<data::Sample>& samples,
                          absl::Span<const int64_t> indices, c10::Device device);

// Loads the batches of one rank: a pure function of (seed, step), the same for every world size.
// Not thread-safe.
class BatchLoader {
 public:
  // `dataset` must outlive the loader; world_size * micro_batch_size divides global_batch_size.
  BatchLoader(const data::TokenizedDataset& dataset, const TrainingSpec& spec, int rank,
              int world_size, c10::Device device);

  StepBatch Load(int64_t step);

  // The first `count` rows of a step's global batch (all of them if there are fewer), in
  // micro-batches; the same on every rank.
  StepBatch LoadProbe(int64_t step, int64_t count);

  int micro_steps() const { return micro_steps_; }

 private:
  StepBatch Stack(absl::Span<const int64_t> indices) const;
  void CountTokens(absl::Span<const int64_t> indices, StepBatch& batch) const;

  const data::TokenizedDataset& dataset_;
  data::Sampler sampler_;
  int64_t micro_batch_size_;
  int64_t first_;  // this rank's part of the global batch
  int64_t size_;
  int micro_steps_;
  c10::Device device_;
};

}  // namespace dropbp::trainer
