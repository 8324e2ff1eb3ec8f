// The decoder's operations between matrix products: values and gradients, by hand, without
// recording. "rows" is batch x sequence.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/hf/model_config.h"
#include "worker/trainer/model/rope.h"

namespace dropbp::trainer {

using hf::Activation;

// RMSNorm as transformers computes it: mean square and scaling in fp32, rounded to x's dtype, then
// times the weight. With a unit offset, as in Gemma, times 1 + weight in fp32, and rounded then.
struct RmsNormResult {
  at::Tensor y;            // [rows, hidden]
  at::Tensor inverse_rms;  // [rows, 1] fp32
};
RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                      bool unit_offset = false);

// The same y again, from the saved inverse_rms.
at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms, bool unit_offset = false);

// Gradients of RmsNorm. `dweight` is fp32 [hidden].
at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms, bool unit_offset = false);
at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms);

// Gated linear unit: gate_up [rows, 2 * inner], gate first -> activation(gate) * up, [rows, inner].
at::Tensor Glu(const at::Tensor& gate_up, Activation activation);
// -> gradient of gate_up.
at::Tensor GluGrad(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation);

// Rotates the first `heads` heads of each row of qkv [rows, all heads * head_dim] in place by their
// positions' angles: of each head the leading elements that there are angles for.
void RotateInPlace(const at::Tensor& qkv, int64_t heads, int64_t head_dim,
                   const RopeAngles& angles);
// Its gradient, in place: the same rotation backward.
void RotateGradInPlace(const at::Tensor& dqkv, int64_t heads, int64_t head_dim,
                       const RopeAngles& angles);

// How rows of a block of attention scores [heads, rows, keys] stand to positions: row r is position
// first_position + r / group and sees that many keys and itself, of these with a window only the
// last `window`; scores are multiplied by scale. Positions count from the block's first key.
struct CausalRows {
  int64_t first_position = 0;
  int64_t group = 1;
  double scale = 1;
  int64_t window = 0;  // 0: none
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

// Values v -> cap * tanh(scale * v / cap), in place.
void SoftcapInPlace(at::Tensor& values, double scale, double cap);
// Gradient of the values, in place of that of `capped`, which is what SoftcapInPlace gave.
void SoftcapGradInPlace(at::Tensor& grad, const at::Tensor& capped, double scale, double cap);

// Sum of the rows' cross-entropies, fp32 scalar. logits: [rows, vocab], overwritten by their
// gradients (softmax minus one at the target) if `want_grad`. targets: int64 [rows].
at::Tensor CrossEntropyInPlace(at::Tensor& logits, const at::Tensor& targets, bool want_grad);

}  // namespace dropbp::trainer
