// Makes the leaves that a fine-tuning method trains beside frozen weights.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/lora_targets.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/linear_module.h"
#include "worker/trainer/model/linear_weight.h"

namespace dropbp::trainer {

class AdapterBuilder {
 public:
  // Appends to `trainable`, which outlives it. INVALID_ARGUMENT for a method or a module that is
  // not known or that a model of this shape does not have, and for what LoraTargets refuses.
  static absl::StatusOr<AdapterBuilder> Make(const DecoderOptions& options, const ModelShape& shape,
                                             at::Device device,
                                             std::vector<TrainableParameter>* trainable);

  // Gives `module`, which reads `in` elements, the leaves that the method has for it. `weight`: of
  // its group, frozen.
  void Equip(LinearModule& module, int64_t in, int unit, const LinearWeight& weight);

  // The virtual tokens of prompt tuning, a leaf [tokens, hidden]; undefined for other methods.
  // `embedding`: [vocab, hidden].
  at::Tensor Prompt(const at::Tensor& embedding);

  // Whether a module outside the blocks ("embed_tokens", "lm_head") is trained whole beside
  // adapters.
  bool IsSaved(const std::string& module) const;

  // Lists an fp32 tensor as trained and gives it as a leaf.
  at::Tensor Train(const std::string& name, const at::Tensor& value, int unit,
                   double learning_rate_scale = 1);

 private:
  AdapterBuilder(const DecoderOptions& options, at::Device device, LoraTargets targets,
                 std::vector<TrainableParameter>* trainable);

  void EquipLora(LinearModule& module, int64_t in, int unit, const LinearWeight& weight);
  void EquipIa3(LinearModule& module, int64_t in, int unit);
  // A function of the job's seed and the number of leaves so far, so that every rank and every
  // attempt begins with the same adapters.
  at::Generator NextGenerator() const;

  DecoderOptions options_;
  at::Device device_;
  LoraTargets targets_;
  std::vector<TrainableParameter>* trainable_;
};

}  // namespace dropbp::trainer
