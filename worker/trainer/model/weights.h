// Where a decoder's initial weights come from.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace dropbp::trainer {

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Copies the named tensor into `target`, converting its dtype. Errors name the tensor and what is
  // wrong with it.
  virtual absl::Status CopyTo(const std::string& name, const at::Tensor& target) = 0;
  // INVALID_ARGUMENT if the source holds tensors that nobody asked for: the model would not be what
  // its files say.
  virtual absl::Status CheckAllUsed() const = 0;
};

// The safetensors files of a model folder, memory-mapped while the source lives. fp32, bf16 and
// f16.
absl::StatusOr<std::unique_ptr<WeightSource>> OpenWeights(const std::string& model_dir);

// Norm weights of `norm_weight`, everything else normal with standard deviation 0.02, drawn on the
// target's device.
std::unique_ptr<WeightSource> RandomWeights(uint64_t seed, double norm_weight = 1);

}  // namespace dropbp::trainer
