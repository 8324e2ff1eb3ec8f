// elementwise.h in ATen's operations: for every device and dtype, and the reference of the CPU's
// own loops.
#pragma once

#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer::generic {

RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                      bool unit_offset = false);
at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms, bool unit_offset = false);
at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms, bool unit_offset = false);
at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms);
at::Tensor Glu(const at::Tensor& gate_up, Activation activation);
at::Tensor GluGrad(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation);
// By `sign` times their angles.
void RotateInPlace(const at::Tensor& qkv, int64_t heads, int64_t head_dim, const RopeAngles& angles,
                   double sign);
at::Tensor CausalSoftmaxInPlace(at::Tensor& scores, const CausalRows& rows);
void CausalSoftmaxAgainInPlace(at::Tensor& scores, const at::Tensor& logsumexp,
                               const CausalRows& rows);
void SoftmaxGradInPlace(at::Tensor& dweights, const at::Tensor& weights, const at::Tensor& delta,
                        double scale);
at::Tensor CrossEntropyInPlace(at::Tensor& logits, const at::Tensor& targets, bool want_grad);

}  // namespace dropbp::trainer::generic
