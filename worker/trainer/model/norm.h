// RMSNorm with its weight.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "worker/trainer/model/compute_copy.h"
#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer {

// Over the rows of [rows, width]. Values and gradients without recording; see elementwise.h.
class Norm {
 public:
  Norm() = default;  // none: nothing but defined() and leaf() may be asked of it
  // `unit_offset`: the weight w counts as 1 + w.
  Norm(ComputeCopy weight, double epsilon, bool unit_offset)
      : weight_(std::move(weight)), epsilon_(epsilon), unit_offset_(unit_offset) {}

  bool defined() const { return epsilon_ > 0; }
  // Undefined if it is frozen.
  const at::Tensor& leaf() const { return weight_.leaf(); }

  RmsNormResult Forward(const at::Tensor& x) const {
    return RmsNorm(x, weight_.Get(), epsilon_, unit_offset_);
  }
  at::Tensor Again(const at::Tensor& x, const at::Tensor& inverse_rms) const {
    return RmsNormAgain(x, weight_.Get(), inverse_rms, unit_offset_);
  }
  at::Tensor InputGrad(const at::Tensor& dy, const at::Tensor& x,
                       const at::Tensor& inverse_rms) const {
    return RmsNormInputGrad(dy, x, weight_.Get(), inverse_rms, unit_offset_);
  }
  at::Tensor WeightGrad(const at::Tensor& dy, const at::Tensor& x,
                        const at::Tensor& inverse_rms) const {
    return RmsNormWeightGrad(dy, x, inverse_rms);
  }

 private:
  ComputeCopy weight_;
  double epsilon_ = 0;
  bool unit_offset_ = false;
};

}  // namespace dropbp::trainer
