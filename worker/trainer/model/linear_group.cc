#include "worker/trainer/model/linear_group.h"

#include <ATen/ATen.h>

#include <utility>

#include "core/base/check.h"
#include "worker/trainer/model/matmul.h"

namespace dropbp::trainer {

LinearGroup::LinearGroup(std::vector<LinearModule> modules, LinearWeight weight, at::Tensor bias,
                         double dropout, at::ScalarType dtype)
    : modules_(std::move(modules)),
      weight_(std::move(weight)),
      bias_(std::move(bias)),
      lora_(modules_, dropout, dtype),
      factors_(modules_, weight_),
      dtype_(dtype) {
  for (const LinearModule& module : modules_) {
    for (const at::Tensor& leaf :
         {module.lora_a, module.lora_b, module.magnitude, module.output_factor, module.input_factor,
          module.master, module.master_bias}) {
      if (leaf.defined()) parameters_.push_back(leaf);
    }
    has_masters_ |= module.master.defined();
    if (module.input_factor.defined()) input_factor_ = module.input_factor;
  }
  DROPBP_CHECK(!input_factor_.defined() || modules_.size() == 1);
}

void LinearGroup::ConvertLeaves() {
  lora_.Convert();
  if (!factors_.empty()) factors_.Convert(weight_, lora_);
  if (!has_masters_) return;
  std::vector<at::Tensor> weights, biases;
  for (const LinearModule& module : modules_) {
    weights.push_back(module.master);
    if (module.master_bias.defined()) biases.push_back(module.master_bias);
  }
  const auto joined = [&](const std::vector<at::Tensor>& parts) {
    return (parts.size() == 1 ? parts[0].detach() : at::cat(parts)).to(dtype_);
  };
  weight_ = LinearWeight(joined(weights));
  if (!biases.empty()) bias_ = joined(biases);
}

at::Tensor LinearGroup::Forward(const at::Tensor& x, const at::Generator* dropout,
                                LinearTape* tape) {
  if (has_parameters()) ConvertLeaves();
  const bool bias_last = factors_.before_bias() && bias_.defined();
  // Factors are near one: they multiply in fp32, where bf16 would round a step of theirs away.
  at::Tensor y =
      weight_.Forward(input_factor_.defined() ? (x * input_factor_.detach()).to(dtype_) : x,
                      bias_last ? at::Tensor() : bias_);
  if (!lora_.empty()) lora_.AddTo(y, x, dropout, tape != nullptr ? &tape->lora : nullptr);
  if (!factors_.empty()) factors_.Apply(y, tape != nullptr ? &tape->before_factors : nullptr);
  return bias_last ? y.add_(bias_) : y;
}

void LinearGroup::Record(const at::Tensor& x, const at::Generator* dropout, LinearTape& tape) {
  if (!factors_.empty()) {  // they act on the product
    Forward(x, dropout, &tape);
    return;
  }
  if (has_parameters()) ConvertLeaves();
  if (!lora_.empty()) tape.lora = lora_.Down(x, dropout);
}

LinearGrads LinearGroup::Backward(const LinearTape& tape, const at::Tensor& x, const at::Tensor& dy,
                                  bool input_needed) const {
  std::vector<ModuleGrads> by_module(modules_.size());
  at::Tensor dz = dy;
  if (!factors_.empty()) {
    std::vector<at::Tensor> gradients;
    dz = factors_.Backward(tape.before_factors, dy, gradients);
    size_t next = 0;
    for (size_t i = 0; i < modules_.size(); ++i) {
      if (modules_[i].magnitude.defined() || modules_[i].output_factor.defined())
        by_module[i].factor = gradients[next++];
    }
  }
  LinearGrads grads;
  if (input_needed || input_factor_.defined()) grads.input = weight_.InputGrad(dz);
  if (!lora_.empty()) {
    const std::vector<LoraGrads> adapters = lora_.Backward(tape.lora, x, dz, grads.input);
    size_t next = 0;
    for (size_t i = 0; i < modules_.size(); ++i) {
      if (modules_[i].lora_a.defined()) by_module[i].lora = adapters[next++];
    }
  }
  if (input_factor_.defined()) {
    by_module[0].input_factor = (grads.input.to(at::kFloat) * x).sum(0, /*keepdim=*/true);
    grads.input = (grads.input * input_factor_.detach()).to(dtype_);
  }
  if (has_masters_) MasterGrads(x, dz, by_module);
  for (ModuleGrads& module : by_module) {
    for (at::Tensor* gradient : {&module.lora.a, &module.lora.b, &module.factor,
                                 &module.input_factor, &module.master, &module.master_bias}) {
      if (gradient->defined()) grads.parameters.push_back(std::move(*gradient));
    }
  }
  return grads;
}

void LinearGroup::MasterGrads(const at::Tensor& x, const at::Tensor& dy,
                              std::vector<ModuleGrads>& grads) const {
  const at::Tensor weight_grad = LinearWeightGrad(dy, x).to(at::kFloat);
  const at::Tensor bias_grad =
      bias_.defined() ? dy.sum(0, /*keepdim=*/false, at::kFloat) : at::Tensor();
  for (size_t i = 0; i < modules_.size(); ++i) {
    const LinearModule& module = modules_[i];
    grads[i].master = weight_grad.narrow(0, module.offset, module.out);
    if (module.master_bias.defined())
      grads[i].master_bias = bias_grad.narrow(0, module.offset, module.out);
  }
}

}  // namespace dropbp::trainer
