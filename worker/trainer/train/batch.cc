#include "worker/trainer/train/batch.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace dropbp::trainer {
namespace {

constexpr int64_t kNoLoss = -100;
// Any legal id would do: attention is causal, so padding on the right reaches no real token.
constexpr int64_t kPaddingId = 0;

void FillRow(const data::Sample& sample, int64_t* ids, int64_t* targets) {
  for (size_t i = 0; i < sample.ids.size(); ++i) {
    ids[i] = sample.ids[i];
    if (i > 0 && sample.supervised[i]) targets[i - 1] = sample.ids[i];
  }
}

}  // namespace

MicroBatch MakeMicroBatch(const std::vector<data::Sample>& samples,
                          absl::Span<const int64_t> indices, c10::Device device) {
  size_t longest = 1;
  for (int64_t index : indices) longest = std::max(longest, samples[index].ids.size());
  const auto rows = static_cast<int64_t>(indices.size());
  const auto columns = static_cast<int64_t>(longest);
  at::Tensor ids = at::full({rows, columns}, kPaddingId, at::kLong);
  at::Tensor targets = at::full({rows, columns}, kNoLoss, at::kLong);
  for (int64_t row = 0; row < rows; ++row) {
    FillRow(samples[indices[row]], ids.mutable_data_ptr<int64_t>() + row * columns,
            targets.mutable_data_ptr<int64_t>() + row * columns);
  }
  return {ids.to(device), targets.to(device)};
}

BatchLoader::BatchLoader(const std::vector<data::Sample>& samples, const TrainingSpec& spec,
                         int rank, int world_size, c10::Device device)
    : samples_(samples),
      sampler_(static_cast<int64_t>(samples.size()), spec.global_batch_size,
               static_cast<uint64_t>(spec.seed)),
      micro_batch_size_(spec.micro_batch_size),
      first_(rank * spec.global_batch_size / world_size),
      size_((rank + 1) * spec.global_batch_size / world_size - first_),
      micro_steps_(static_cast<int>(size_ / micro_batch_size_)),
      device_(device) {}

StepBatch BatchLoader::Load(int64_t step) {
  const std::vector<int64_t> global = sampler_.GlobalBatch(step);
  StepBatch batch = Stack(absl::MakeConstSpan(global).subspan(first_, size_));
  CountTokens(global, batch);
  return batch;
}

StepBatch BatchLoader::LoadProbe(int64_t step, int64_t count) {
  const std::vector<int64_t> global = sampler_.GlobalBatch(step);
  const auto indices = absl::MakeConstSpan(global).subspan(0, count);
  StepBatch batch = Stack(indices);
  CountTokens(indices, batch);
  return batch;
}

StepBatch BatchLoader::Stack(absl::Span<const int64_t> indices) const {
  StepBatch batch;
  for (size_t begin = 0; begin < indices.size(); begin += micro_batch_size_) {
    batch.micro_batches.push_back(
        MakeMicroBatch(samples_, indices.subspan(begin, micro_batch_size_), device_));
  }
  return batch;
}

void BatchLoader::CountTokens(absl::Span<const int64_t> indices, StepBatch& batch) const {
  for (int64_t index : indices) {
    batch.tokens += static_cast<int64_t>(samples_[index].ids.size());
    batch.supervised_tokens += samples_[index].SupervisedTokens();
  }
}

}  // namespace dropbp::trainer
