#include "worker/trainer/model/lora_adapters.h"

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

LoraAdapters::LoraAdapters(const std::vector<LinearModule>& modules, double dropout,
                           at::ScalarType dtype)
    : dropout_(dropout), dtype_(dtype) {
  for (const LinearModule& module : modules) {
    if (module.lora_a.defined()) modules_.push_back(module);
  }
}

void LoraAdapters::Convert() {
  if (modules_.empty()) return;
  std::vector<at::Tensor> a;
  b_.clear();
  for (const LinearModule& module : modules_) {
    a.push_back(module.lora_a);
    b_.push_back(module.lora_b.to(dtype_));
  }
  a_ = (a.size() == 1 ? a[0].detach() : at::cat(a)).to(dtype_);
}

int64_t LoraAdapters::RowOf(const LinearModule& module) const {
  int64_t row = 0;
  for (const LinearModule& other : modules_) {
    if (other.offset == module.offset) break;
    row += other.lora_a.size(0);
  }
  return row;
}

LoraTape LoraAdapters::Down(const at::Tensor& x, const at::Generator* generator) const {
  const bool drop = generator != nullptr && dropout_ > 0;
  const at::Tensor mask = drop ? DropoutMask(x, dropout_, *generator) : at::Tensor();
  return {at::mm(drop ? x * mask : x, a_.t()), mask};
}

void LoraAdapters::AddTo(at::Tensor& y, const at::Tensor& x, const at::Generator* generator,
                         LoraTape* tape) const {
  LoraTape made = Down(x, generator);
  int64_t column = 0;
  for (size_t i = 0; i < modules_.size(); ++i) {
    const LinearModule& module = modules_[i];
    const int64_t rank = b_[i].size(1);
    y.narrow(1, module.offset, module.out)
        .addmm_(made.down.narrow(1, column, rank), b_[i].t(), /*beta=*/1, module.scaling);
    column += rank;
  }
  if (tape != nullptr) *tape = std::move(made);
}

std::vector<LoraGrads> LoraAdapters::Backward(const LoraTape& tape, const at::Tensor& x,
                                              const at::Tensor& dy, at::Tensor& dx) const {
  at::Tensor ddown = at::empty_like(tape.down);
  std::vector<LoraGrads> grads(modules_.size());
  int64_t column = 0;
  for (size_t i = 0; i < modules_.size(); ++i) {
    const LinearModule& module = modules_[i];
    const int64_t rank = b_[i].size(1);
    const at::Tensor dy_module = dy.narrow(1, module.offset, module.out);
    at::Tensor own_ddown = ddown.narrow(1, column, rank);
    own_ddown.copy_(at::mm(dy_module, b_[i]).mul_(module.scaling));
    const at::Tensor down = tape.down.narrow(1, column, rank);
    grads[i].b = LinearWeightGrad(dy_module, down).to(at::kFloat).mul_(module.scaling);
    column += rank;
  }
  const bool dropped = tape.dropout_mask.defined();
  if (dx.defined()) {
    if (dropped) {
      dx.addcmul_(at::mm(ddown, a_), tape.dropout_mask);
    } else {
      dx.addmm_(ddown, a_);
    }
  }
  const at::Tensor a_grad =
      LinearWeightGrad(ddown, dropped ? x * tape.dropout_mask : x).to(at::kFloat);
  column = 0;
  for (size_t i = 0; i < modules_.size(); ++i) {
    grads[i].a = a_grad.narrow(0, column, b_[i].size(1));
    column += b_[i].size(1);
  }
  return grads;
}

}  // namespace dropbp::trainer
