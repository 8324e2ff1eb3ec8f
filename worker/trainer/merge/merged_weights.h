// The weights of a base model with an adapter added, one at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/lora_targets.h"
#include "worker/hf/model_config.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/model/adapter_config.h"

namespace dropbp::trainer {

class MergedWeights {
 public:
  // Checks that every tensor of the adapter belongs to a weight of the model.
  static absl::StatusOr<MergedWeights> Open(const std::string& model_dir,
                                            const std::string& adapter_dir,
                                            std::optional<QloraSpec> quantized_base);

  const AdapterSpec& adapter() const { return adapter_; }
  // Whether the merged model's head is no longer its embedding, although the base model's is.
  bool unties_head() const { return unties_head_; }

  // Names of the merged model's tensors, in alphabetical order, and what one takes in bytes.
  std::vector<std::string> Names() const;
  int64_t Bytes(const std::string& name) const;
  // The floating-point type with the coarsest rounding of any of them.
  hf::TensorType CoarsestType() const;

  // The tensor on the CPU, in the dtype of the model's files.
  at::Tensor Get(const std::string& name) const;

 private:
  MergedWeights() = default;
  absl::Status CheckAdapter(const std::string& adapter_dir) const;
  const hf::TensorView& BaseOf(const std::string& name) const;
  // fp32; undefined if the adapter has no such tensor.
  at::Tensor FromAdapter(const std::string& name) const;
  at::Tensor Adapted(const std::string& module, at::Tensor weight) const;

  AdapterSpec adapter_;
  std::optional<QloraSpec> quantized_base_;
  std::optional<LoraTargets> targets_;
  hf::ModelTensors model_;
  std::shared_ptr<const hf::SafetensorsFile> adapter_file_;
  bool unties_head_ = false;
};

}  // namespace dropbp::trainer
