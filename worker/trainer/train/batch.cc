#include "worker/trainer/train/batch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

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

RowSegments SegmentsOf(const std::vector<data::Sample>& samples, absl::Span<const data::Row> rows) {
  RowSegments segments(rows.size());
  for (size_t row = 0; row < rows.size(); ++row) {
    for (const int64_t index : rows[row])
      segments[row].push_back(static_cast<int64_t>(samples[index].ids.size()));
  }
  return segments;
}

std::vector<int64_t> LengthsOf(const data::TokenizedDataset& dataset) {
  std::vector<int64_t> lengths;
  for (const std::vector<int64_t>& row : SegmentsOf(dataset.samples, dataset.rows))
    lengths.push_back(std::accumulate(row.begin(), row.end(), int64_t{0}));
  return lengths;
}

}  // namespace

MicroBatch StackRows(const std::vector<data::Sample>& samples, absl::Span<const data::Row> rows,
                     c10::Device device) {
  const RowSegments segments = SegmentsOf(samples, rows);
  const auto count = static_cast<int64_t>(rows.size());
  int64_t columns = 1;
  for (const std::vector<int64_t>& row : segments)
    columns = std::max(columns, std::accumulate(row.begin(), row.end(), int64_t{0}));
  at::Tensor ids = at::full({count, columns}, kPaddingId, at::kLong);
  at::Tensor targets = at::full({count, columns}, kNoLoss, at::kLong);
  for (int64_t row = 0; row < count; ++row) {
    int64_t at = row * columns;
    for (const int64_t index : rows[row]) {
      FillRow(samples[index], ids.mutable_data_ptr<int64_t>() + at,
              targets.mutable_data_ptr<int64_t>() + at);
      at += static_cast<int64_t>(samples[index].ids.size());
    }
  }
  const bool shared =
      std::any_of(rows.begin(), rows.end(), [](const data::Row& row) { return row.size() > 1; });
  return {ids.to(device), targets.to(device), shared ? segments : RowSegments()};
}

MicroBatch MakeMicroBatch(const std::vector<data::Sample>& samples,
                          absl::Span<const int64_t> indices, c10::Device device) {
  std::vector<data::Row> rows;
  for (const int64_t index : indices) rows.push_back({index});
  return StackRows(samples, rows, device);
}

BatchLoader::BatchLoader(const data::TokenizedDataset& dataset, const TrainingSpec& spec, int rank,
                         int world_size, c10::Device device)
    : dataset_(dataset),
      sampler_(static_cast<int64_t>(dataset.rows.size()), spec.global_batch_size,
               static_cast<uint64_t>(spec.seed),
               spec.group_by_length ? LengthsOf(dataset) : std::vector<int64_t>()),
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
    std::vector<data::Row> rows;
    for (const int64_t index : indices.subspan(begin, micro_batch_size_))
      rows.push_back(dataset_.rows[index]);
    batch.micro_batches.push_back(StackRows(dataset_.samples, rows, device_));
  }
  return batch;
}

void BatchLoader::CountTokens(absl::Span<const int64_t> indices, StepBatch& batch) const {
  for (const int64_t index : indices) {
    for (const int64_t sample : dataset_.rows[index]) {
      batch.tokens += static_cast<int64_t>(dataset_.samples[sample].ids.size());
      batch.supervised_tokens += dataset_.samples[sample].SupervisedTokens();
    }
  }
}

}  // namespace dropbp::trainer
