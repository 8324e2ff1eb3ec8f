// A copy of an fp32 leaf in the dtype that is computed in.
#pragma once

#include <ATen/core/Tensor.h>

namespace dropbp::trainer {

// Either frozen (no leaf), or a leaf that is converted whenever it is asked for: optimizers change
// leaves behind autograd's back (fused kernels do not move version counters), so a kept copy could
// be out of date.
class ComputeCopy {
 public:
  ComputeCopy() = default;
  static ComputeCopy Frozen(at::Tensor value);
  static ComputeCopy Of(at::Tensor leaf, at::ScalarType dtype);

  // The value to compute with; it requires no gradient.
  at::Tensor Get() const;
  // Undefined if frozen.
  const at::Tensor& leaf() const { return leaf_; }

 private:
  at::Tensor leaf_;
  at::Tensor frozen_;
  at::ScalarType dtype_ = at::ScalarType::Float;
};

}  // namespace dropbp::trainer
