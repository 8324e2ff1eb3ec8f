#include "worker/trainer/model/output_factors.h"

#include <ATen/ATen.h>

namespace dropbp::trainer {

OutputFactors::OutputFactors(const std::vector<LinearModule>& modules, const LinearWeight& weight) {
  for (const LinearModule& module : modules) {
    if (!module.magnitude.defined() && !module.output_factor.defined()) continue;
    modules_.push_back(module);
    if (module.magnitude.defined() && !row_squares_.defined()) row_squares_ = weight.RowSquares();
  }
}

// ||w + s B a||^2 by row, without the sum: ||w||^2 + 2 s B (W A^T) + s^2 B (A A^T) B^T.
at::Tensor OutputFactors::NormOf(const LinearModule& module,
                                 const at::Tensor& weight_times_a) const {
  const at::Tensor b = module.lora_b.detach();
  const at::Tensor a = module.lora_a.detach();
  const at::Tensor cross = (b * weight_times_a).sum(1);
  const at::Tensor square = (at::mm(b, at::mm(a, a.t())) * b).sum(1);
  return (row_squares_.narrow(0, module.offset, module.out) + 2 * module.scaling * cross +
          module.scaling * module.scaling * square)
      .clamp_min_(0)
      .sqrt_();
}

void OutputFactors::Convert(const LinearWeight& weight, const LoraAdapters& lora) {
  factors_.clear();
  norms_.clear();
  // [sum of ranks, sum of out]: of every A with every module.
  at::Tensor products;
  if (before_bias()) products = weight.Forward(lora.a(), {}).to(at::kFloat);
  for (const LinearModule& module : modules_) {
    if (module.magnitude.defined()) {
      const at::Tensor own = products.narrow(0, lora.RowOf(module), module.lora_a.size(0))
                                 .narrow(1, module.offset, module.out);
      norms_.push_back(NormOf(module, own.t()));
      factors_.push_back(module.magnitude.detach() / norms_.back());
    } else {
      factors_.push_back(module.output_factor.detach().view({-1}));
    }
  }
}

void OutputFactors::Apply(at::Tensor& y, at::Tensor* before) const {
  std::vector<at::Tensor> columns;
  for (const LinearModule& module : modules_)
    columns.push_back(y.narrow(1, module.offset, module.out));
  if (before != nullptr) *before = at::cat(columns, 1);
  for (size_t i = 0; i < columns.size(); ++i) columns[i].mul_(factors_[i]);
}

at::Tensor OutputFactors::Backward(const at::Tensor& before, const at::Tensor& dy,
                                   std::vector<at::Tensor>& gradients) const {
  at::Tensor dz = dy.clone(at::MemoryFormat::Contiguous);
  int64_t column = 0;
  for (size_t i = 0; i < modules_.size(); ++i) {
    const LinearModule& module = modules_[i];
    at::Tensor own = dz.narrow(1, module.offset, module.out);
    const at::Tensor dfactor = (own.to(at::kFloat) * before.narrow(1, column, module.out)).sum(0);
    gradients.push_back(module.magnitude.defined() ? dfactor / norms_[i]
                                                   : dfactor.view(module.output_factor.sizes()));
    own.mul_(factors_[i]);
    column += module.out;
  }
  return dz;
}

}  // namespace dropbp::trainer
