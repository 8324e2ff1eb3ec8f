// Factors on the outputs of linear modules: learned ones of (IA)^3 (Liu et al., NeurIPS 2022); and
// those of DoRA (Liu et al., ICML 2024): a learned magnitude over the norm of the adapted weight's
// row, which counts as a constant in the backward pass (section 4.3 there).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/model/linear_module.h"
#include "worker/trainer/model/linear_weight.h"
#include "worker/trainer/model/lora_adapters.h"

namespace dropbp::trainer {

// Not thread-safe.
class OutputFactors {
 public:
  // Modules with neither magnitude nor output_factor are left alone.
  OutputFactors(const std::vector<LinearModule>& modules, const LinearWeight& weight);

  bool empty() const { return modules_.empty(); }
  // Whether the factors are on the product alone and a bias comes after them: DoRA.
  bool before_bias() const { return row_squares_.defined(); }

  // Makes the factors from the leaves, which must not change between this and the passes that
  // follow.
  void Convert(const LinearWeight& weight, const LoraAdapters& lora);

  // y: [rows, sum of out of the group], in place. What the modules' columns were before is stored
  // in `before` [rows, sum of out of modules with a factor] if it is not null.
  void Apply(at::Tensor& y, at::Tensor* before) const;

  // The cotangent before the factors, and the leaves' gradients in the order of modules.
  at::Tensor Backward(const at::Tensor& before, const at::Tensor& dy,
                      std::vector<at::Tensor>& gradients) const;

 private:
  at::Tensor NormOf(const LinearModule& module, const at::Tensor& weight_times_a) const;

  std::vector<LinearModule> modules_;  // with factors
  at::Tensor row_squares_;             // fp32, of the group's frozen weight; DoRA only
  std::vector<at::Tensor> norms_;      // fp32 [out] by module; DoRA only
  std::vector<at::Tensor> factors_;    // fp32 [out] by module
};

}  // namespace dropbp::trainer
