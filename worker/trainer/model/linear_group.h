// Linear modules that read the same input, run as one product: their weights lie in one matrix,
// their adapters' A too.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/model/linear_module.h"
#include "worker/trainer/model/linear_weight.h"
#include "worker/trainer/model/lora_adapters.h"
#include "worker/trainer/model/output_factors.h"

namespace dropbp::trainer {

// What a forward pass leaves for its backward pass, besides the input.
struct LinearTape {
  LoraTape lora;
  at::Tensor before_factors;  // outputs that a factor multiplies, before it; undefined: none
};

// Gradients of a group: of the input, and of `parameters()` in order, fp32.
struct LinearGrads {
  at::Tensor input;
  std::vector<at::Tensor> parameters;
};

// y = factor (W (input_factor x) + scaling B A x), with the bias within or behind the factor; each
// term where a module has it. Not thread-safe. Each forward pass converts masters and adapters to
// the compute dtype anew; they must not change between it and its backward pass.
class LinearGroup {
 public:
  // weight: [sum of out, in]; bias [sum of out] or undefined. With master leaves, `weight` and
  // `bias` are made from them and may be empty here. `dropout`: of the adapters' input. A module
  // with an input factor is alone in its group.
  LinearGroup(std::vector<LinearModule> modules, LinearWeight weight, at::Tensor bias,
              double dropout, at::ScalarType dtype);

  // x: [rows, in] -> [rows, sum of out]. Fills `tape` if not null. Modules that share the input
  // share the dropout mask.
  at::Tensor Forward(const at::Tensor& x, const at::Generator* dropout, LinearTape* tape);

  // The tape alone: what Forward fills, without the product with W unless the tape needs it.
  void Record(const at::Tensor& x, const at::Generator* dropout, LinearTape& tape);

  LinearGrads Backward(const LinearTape& tape, const at::Tensor& x, const at::Tensor& dy,
                       bool input_needed) const;

  // Leaves, module by module, in the order of LinearModule's members.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  const std::vector<LinearModule>& modules() const { return modules_; }
  // Whether Backward reads x and tape.
  bool has_parameters() const { return !parameters_.empty(); }

 private:
  // Gradients of one module's leaves; undefined where there is none.
  struct ModuleGrads {
    LoraGrads lora;
    at::Tensor factor;
    at::Tensor input_factor;
    at::Tensor master;
    at::Tensor master_bias;
  };

  void ConvertLeaves();
  void MasterGrads(const at::Tensor& x, const at::Tensor& dy,
                   std::vector<ModuleGrads>& grads) const;

  std::vector<LinearModule> modules_;
  std::vector<at::Tensor> parameters_;
  LinearWeight weight_;
  at::Tensor bias_;
  LoraAdapters lora_;
  OutputFactors factors_;
  at::Tensor input_factor_;  // leaf
  at::ScalarType dtype_;
  bool has_masters_ = false;
};

}  // namespace dropbp::trainer
