#include "worker/trainer/model/linear_group.h"

#include <ATen/ATen.h>

#include <optional>
#include <utility>

#include "worker/trainer/model/matmul.h"

namespace dropbp::trainer {
namespace {

at::Tensor DropoutMask(const at::Tensor& x, double dropout, const at::Generator& generator) {
  at::Tensor mask = at::empty_like(x);
  mask.bernoulli_(1 - dropout, std::optional<at::Generator>(generator));
  return mask.div_(1 - dropout);
}

}  // namespace

LinearGroup::LinearGroup(std::vector<LinearModule> modules, at::Tensor weight, at::Tensor bias,
                         AdapterSettings adapter, at::ScalarType dtype)
    : modules_(std::move(modules)),
      weight_(std::move(weight)),
      bias_(std::move(bias)),
      adapter_(adapter),
      dtype_(dtype) {
  for (const LinearModule& module : modules_) {
    for (const at::Tensor& leaf :
         {module.lora_a, module.lora_b, module.master, module.master_bias}) {
      if (leaf.defined()) parameters_.push_back(leaf);
    }
    has_adapters_ |= module.lora_a.defined();
    has_masters_ |= module.master.defined();
  }
}

void LinearGroup::ConvertLeaves() {
  std::vector<at::Tensor> a, weights, biases;
  b_.clear();
  for (const LinearModule& module : modules_) {
    if (module.lora_a.defined()) {
      a.push_back(module.lora_a);
      b_.push_back(module.lora_b.to(dtype_));
    }
    if (module.master.defined()) weights.push_back(module.master);
    if (module.master_bias.defined()) biases.push_back(module.master_bias);
  }
  const auto joined = [&](const std::vector<at::Tensor>& parts) {
    return (parts.size() == 1 ? parts[0].detach() : at::cat(parts)).to(dtype_);
  };
  if (!a.empty()) a_ = joined(a);
  if (!weights.empty()) weight_ = joined(weights);
  if (!biases.empty()) bias_ = joined(biases);
}

at::Tensor LinearGroup::Forward(const at::Tensor& x, const at::Generator* dropout,
                                LinearTape* tape) {
  if (has_parameters()) ConvertLeaves();
  at::Tensor y = LinearForward(x, weight_, bias_);
  if (has_adapters_) AddAdapters(x, dropout, tape, y);
  return y;
}

void LinearGroup::AddAdapters(const at::Tensor& x, const at::Generator* dropout, LinearTape* tape,
                              at::Tensor& y) const {
  const bool drop = dropout != nullptr && adapter_.dropout > 0;
  const at::Tensor mask = drop ? DropoutMask(x, adapter_.dropout, *dropout) : at::Tensor();
  const at::Tensor down = at::mm(drop ? x * mask : x, a_.t());
  int64_t column = 0;
  size_t adapter = 0;
  for (const LinearModule& module : modules_) {
    if (!module.lora_a.defined()) continue;
    const at::Tensor& b = b_[adapter++];
    y.narrow(1, module.offset, module.out)
        .addmm_(down.narrow(1, column, b.size(1)), b.t(), /*beta=*/1, adapter_.scaling);
    column += b.size(1);
  }
  if (tape != nullptr) *tape = {down, mask};
}

LinearGrads LinearGroup::Backward(const LinearTape& tape, const at::Tensor& x, const at::Tensor& dy,
                                  bool input_needed) const {
  LinearGrads grads;
  if (input_needed) grads.input = LinearInputGrad(dy, weight_);
  if (has_adapters_) AdapterGrads(tape, x, dy, grads);
  if (has_masters_) MasterGrads(x, dy, grads);
  return grads;
}

void LinearGroup::AdapterGrads(const LinearTape& tape, const at::Tensor& x, const at::Tensor& dy,
                               LinearGrads& grads) const {
  at::Tensor ddown = at::empty_like(tape.down);
  std::vector<at::Tensor> b_grads;
  int64_t column = 0;
  for (const LinearModule& module : modules_) {
    if (!module.lora_a.defined()) continue;
    const at::Tensor& b = b_[b_grads.size()];
    const at::Tensor dy_module = dy.narrow(1, module.offset, module.out);
    ddown.narrow(1, column, b.size(1)).copy_(at::mm(dy_module, b));
    const at::Tensor down = tape.down.narrow(1, column, b.size(1));
    b_grads.push_back(LinearWeightGrad(dy_module, down).to(at::kFloat).mul_(adapter_.scaling));
    column += b.size(1);
  }
  ddown.mul_(adapter_.scaling);
  const bool dropped = tape.dropout_mask.defined();
  if (grads.input.defined()) {
    if (dropped) {
      grads.input.addcmul_(at::mm(ddown, a_), tape.dropout_mask);
    } else {
      grads.input.addmm_(ddown, a_);
    }
  }
  const at::Tensor a_grad =
      LinearWeightGrad(ddown, dropped ? x * tape.dropout_mask : x).to(at::kFloat);
  column = 0;
  for (size_t i = 0; i < b_grads.size(); ++i) {
    grads.parameters.push_back(a_grad.narrow(0, column, b_[i].size(1)));
    grads.parameters.push_back(b_grads[i]);
    column += b_[i].size(1);
  }
}

void LinearGroup::MasterGrads(const at::Tensor& x, const at::Tensor& dy, LinearGrads& grads) const {
  const at::Tensor weight_grad = LinearWeightGrad(dy, x).to(at::kFloat);
  const at::Tensor bias_grad =
      bias_.defined() ? dy.sum(0, /*keepdim=*/false, at::kFloat) : at::Tensor();
  for (const LinearModule& module : modules_) {
    grads.parameters.push_back(weight_grad.narrow(0, module.offset, module.out));
    if (module.master_bias.defined()) {
      grads.parameters.push_back(bias_grad.narrow(0, module.offset, module.out));
    }
  }
}

}  // namespace dropbp::trainer
