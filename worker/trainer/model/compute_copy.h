// A copy of an fp32 leaf in the dtype that is computed in.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace dropbp::trainer {

// Either frozen (no leaf) or a leaf whose copy is refreshed when its version counter has moved. Not
// thread-safe.
class ComputeCopy {
 public:
  ComputeCopy() = default;
  static ComputeCopy Frozen(at::Tensor value);
  static ComputeCopy Of(at::Tensor leaf, at::ScalarType dtype);

  // The value to compute with; it requires no gradient.
  const at::Tensor& Get();
  // Undefined if frozen.
  const at::Tensor& leaf() const { return leaf_; }

 private:
  at::Tensor leaf_;
  at::Tensor copy_;
  at::ScalarType dtype_ = at::ScalarType::Float;
  int64_t version_ = -1;
};

}  // namespace dropbp::trainer
