// Builds a decoder's pieces from weights: leaves, fused groups of linear modules, units.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "core/base/status.h"
#include "worker/hf/model_config.h"
#include "worker/trainer/model/branch.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/weights.h"

namespace dropbp::trainer {

struct DecoderParts {
  hf::ModelConfig config;
  at::ScalarType dtype = at::ScalarType::Float;
  at::Device device = at::Device(at::kCPU);
  ComputeCopy embedding;  // [vocab, hidden]
  at::Tensor prompt;      // prompt tuning: a leaf [virtual tokens, hidden]; else undefined
  std::vector<std::unique_ptr<Branch>> units;
  Norm norm;
  ComputeCopy head;  // [vocab, hidden]; shares the embedding's storage or leaf if they are tied
  std::vector<TrainableParameter> trainable;
};

// INVALID_ARGUMENT for an option with an unknown value or a device that is not there.
absl::StatusOr<DecoderParts> BuildDecoder(const hf::ModelConfig& config,
                                          const DecoderOptions& options, WeightSource& weights);

}  // namespace dropbp::trainer
