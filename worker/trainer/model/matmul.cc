#include "worker/trainer/model/matmul.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

namespace dropbp::trainer {
namespace {

using OneDnnLinear = at::Tensor(const at::Tensor&, const at::Tensor&,
                                const std::optional<at::Tensor>&, std::string_view,
                                c10::List<std::optional<at::Scalar>>,
                                std::optional<std::string_view>);

// Note [fp32 on the CPU]: ATen gives fp32 products to MKL, which runs AVX2 code on processors that
// are not Intel's. oneDNN picks its code by instruction set, and is twice as fast there. Products
// in bf16 go to oneDNN anyway.
const std::optional<c10::TypedOperatorHandle<OneDnnLinear>>& OneDnn() {
  static const auto* handle = [] {
    auto schema = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    auto* found = new std::optional<c10::TypedOperatorHandle<OneDnnLinear>>();
    if (schema.has_value()) *found = schema->typed<OneDnnLinear>();
    return found;
  }();
  return *handle;
}

// Below this inner size the reordering of operands costs more than it saves.
constexpr int64_t kSmallestSize = 64;

bool UseOneDnn(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && weight.size(0) >= kSmallestSize &&
         weight.size(1) >= kSmallestSize && OneDnn().has_value();
}

at::Tensor OneDnnProduct(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const std::optional<at::Tensor> optional_bias =
      bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt;
  return OneDnn()->call(x, weight, optional_bias, "none", c10::List<std::optional<at::Scalar>>(),
                        "");
}

}  // namespace

at::Tensor LinearForward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (UseOneDnn(x, weight)) return OneDnnProduct(x, weight, bias);
  return bias.defined() ? at::addmm(bias, x, weight.t()) : at::mm(x, weight.t());
}

at::Tensor LinearInputGrad(const at::Tensor& dy, const at::Tensor& weight) {
  if (UseOneDnn(dy, weight)) return OneDnnProduct(dy, weight.t(), {});
  return at::mm(dy, weight);
}

at::Tensor LinearWeightGrad(const at::Tensor& dy, const at::Tensor& x) { return at::mm(dy.t(), x); }

}  // namespace dropbp::trainer
