// The decoder's operations between matrix products: values and gradients, by hand, without
// recording. "rows" is batch x sequence.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace dropbp::trainer {

// RMSNorm as transformers computes it: mean square and scaling in fp32, rounded to x's dtype, then
// times the weight.
struct RmsNormResult {
  at::Tensor y;            // [rows, hidden]
  at::Tensor inverse_rms;  // [rows, 1] fp32
};
RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

// The same y again, from the saved inverse_rms.
at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms);

// Gradients of RmsNorm. `dweight` is fp32 [hidden].
at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms);
at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms);

// SwiGLU: gate_up [rows, 2 * inner], gate first -> silu(gate) * up, [rows, inner].
at::Tensor SwiGlu(const at::Tensor& gate_up);
// -> gradient of gate_up.
at::Tensor SwiGluGrad(const at::Tensor& dy, const at::Tensor& gate_up);

// Rotates the first `heads` heads of each row of qkv [rows, all heads * head_dim] in place by their
// positions' angles. cos and sin: fp32 [batch or 1, sequence, head_dim / 2]. `inverse` rotates
// back, which is also the gradient.
void RotateInPlace(const at::Tensor& qkv, int64_t heads, const at::Tensor& cos,
                   const at::Tensor& sin, bool inverse);

// How rows of a block of attention scores [heads, rows, keys] stand to positions: row r is position
// first_position + r / group and sees that many keys and itself; scores are multiplied by scale.
struct CausalRows {
  int64_t first_position = 0;
  int64_t group = 1;
  double scale = 1;
};

// Scores -> attention weights, in place, with zeros for unseen keys. Returns the log of each row's
// sum of exponentials, fp32 [heads, rows].
at::Tensor CausalSoftmaxInPlace(at::Tensor& scores, const CausalRows& rows);

// The same weights again from the same scores and their logsumexp.
void CausalSoftmaxAgainInPlace(at::Tensor& scores, const at::Tensor& logsumexp,
                               const CausalRows& rows);

// Gradient of the scores, in place of the weights' gradient: weights * (dweights - delta) * scale,
// where delta [heads, rows] is the sum over keys of weights * dweights.
void SoftmaxGradInPlace(at::Tensor& dweights, const at::Tensor& weights, const at::Tensor& delta,
                        double scale);

// Sum of the rows' cross-entropies, fp32 scalar. logits: [rows, vocab], overwritten by their
// gradients (softmax minus one at the target) if `want_grad`. targets: int64 [rows].
at::Tensor CrossEntropyInPlace(at::Tensor& logits, const at::Tensor& targets, bool want_grad);

}  // namespace dropbp::trainer
