#include "worker/trainer/model/tensor_views.h"

#include <ATen/ATen.h>

#include "core/base/check.h"

namespace dropbp::trainer {

std::optional<at::ScalarType> FloatingType(hf::TensorType type) {
  switch (type) {
    case hf::TensorType::kF32:
      return at::kFloat;
    case hf::TensorType::kF16:
      return at::kHalf;
    case hf::TensorType::kBF16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

at::Tensor BorrowTensor(const hf::TensorView& view) {
  return at::from_blob(const_cast<uint8_t*>(view.data.data()), view.shape,
                       at::dtype(*FloatingType(view.type)));
}

hf::TensorView BorrowView(const at::Tensor& tensor) {
  DROPBP_CHECK(tensor.is_cpu() && tensor.is_contiguous());
  hf::TensorView view;
  view.type = tensor.scalar_type() == at::kFloat  ? hf::TensorType::kF32
              : tensor.scalar_type() == at::kHalf ? hf::TensorType::kF16
                                                  : hf::TensorType::kBF16;
  view.shape = tensor.sizes().vec();
  view.data = {static_cast<const uint8_t*>(tensor.const_data_ptr()),
               static_cast<size_t>(tensor.nbytes())};
  return view;
}

}  // namespace dropbp::trainer
