#include "worker/trainer/model/compute_copy.h"

#include <ATen/ATen.h>

#include <utility>

namespace dropbp::trainer {

ComputeCopy ComputeCopy::Frozen(at::Tensor value) {
  ComputeCopy result;
  result.copy_ = std::move(value);
  return result;
}

ComputeCopy ComputeCopy::Of(at::Tensor leaf, at::ScalarType dtype) {
  ComputeCopy result;
  result.leaf_ = std::move(leaf);
  result.dtype_ = dtype;
  return result;
}

const at::Tensor& ComputeCopy::Get() {
  if (leaf_.defined() && version_ != leaf_._version()) {
    copy_ = leaf_.detach().to(dtype_);
    version_ = leaf_._version();
  }
  return copy_;
}

}  // namespace dropbp::trainer
