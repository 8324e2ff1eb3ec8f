// elementwise.h in ATen's operations: for every device and dtype, and the reference of the CPU's
// own loops.
#pragma once

#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer::generic {

RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon);
at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms);
at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms);
at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms);
at::Tensor SwiGlu(const at::Tensor& gate_up);
at::Tensor SwiGluGrad(const at::Tensor& dy, const at::Tensor& gate_up);
void RotateInPlace(const at::Tensor& qkv, int64_t heads, const at::Tensor& cos,
                   const at::Tensor& sin, bool inverse);
at::Tensor CausalSoftmaxInPlace(at::Tensor& scores, const CausalRows& rows);
void CausalSoftmaxAgainInPlace(at::Tensor& scores, const at::Tensor& logsumexp,
                               const CausalRows& rows);
void SoftmaxGradInPlace(at::Tensor& dweights, const at::Tensor& weights, const at::Tensor& delta,
                        double scale);
at::Tensor CrossEntropyInPlace(at::Tensor& logits, const at::Tensor& targets, bool want_grad);

}  // namespace dropbp::trainer::generic
