#include "worker/trainer/model/compute_copy.h"

#include <ATen/ATen.h>

#include <utility>

namespace dropbp::trainer {

ComputeCopy ComputeCopy::Frozen(at::Tensor value) {
  ComputeCopy result;
  result.frozen_ = std::move(value);
  return result;
}

ComputeCopy ComputeCopy::Of(at::Tensor leaf, at::ScalarType dtype) {
  ComputeCopy result;
  result.leaf_ = std::move(leaf);
  result.dtype_ = dtype;
  return result;
}

at::Tensor ComputeCopy::Get() const {
  return leaf_.defined() ? leaf_.detach().to(dtype_) : frozen_;
}

}  // namespace dropbp::trainer
