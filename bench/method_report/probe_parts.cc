#include "bench/method_report/probe_parts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/match.h"
#include "worker/data/dataset.h"

namespace dropbp::bench {

using trainer::Decoder;
using trainer::StepBatch;

namespace {

// Fresh adapters are zero in their second matrix, and so are then the gradients of the first.
void PerturbAdapters(const Decoder& model) {
  at::manual_seed(1);
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.trainable()) {
    if (absl::StrContains(parameter.name, "lora_B")) at::Tensor(parameter.value).normal_(0, 0.01);
  }
}

}  // namespace

absl::StatusOr<StepBatch> ProbeBatchOf(const ProbeOptions& options) {
  DatasetSpec spec;
  spec.max_length = options.max_length;
  ASSIGN_OR_RETURN(const data::TokenizedDataset dataset,
                   data::LoadDataset(options.data, spec, options.model_dir));
  const auto count = std::min<size_t>(dataset.samples.size(), static_cast<size_t>(options.samples));
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), int64_t{0});
  StepBatch batch;
  for (int64_t index : indices) {
    const data::Sample& sample = dataset.samples[static_cast<size_t>(index)];
    batch.tokens += static_cast<int64_t>(sample.ids.size());
    batch.supervised_tokens += sample.SupervisedTokens();
  }
  batch.micro_batches.push_back(trainer::MakeMicroBatch(dataset.samples, indices, at::kCPU));
  return batch;
}

absl::StatusOr<std::unique_ptr<Decoder>> ProbeModelOf(const ProbeOptions& options) {
  ASSIGN_OR_RETURN(auto model, Decoder::Load(options.model_dir, {.dtype = options.dtype,
                                                                 .device = "cpu",
                                                                 .method = options.method,
                                                                 .seed = 1}));
  PerturbAdapters(*model);
  return model;
}

}  // namespace dropbp::bench
