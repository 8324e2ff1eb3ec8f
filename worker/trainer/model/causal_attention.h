// Causal grouped-query attention over projected queries, keys and values, with a hand-written
// gradient.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace dropbp::trainer {

// How a [rows, (heads + 2 * kv_heads) * head_dim] matrix of queries, keys and values is to be read.
struct AttentionDims {
  int64_t batch = 0;
  int64_t sequence = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  double scale = 0;    // of scores; 0: head_dim^-1/2
  int64_t window = 0;  // positions that one sees, itself included; 0: all before it
  double softcap = 0;  // scaled scores s become cap * tanh(s / cap); 0: they do not

  double Scale() const;
};

// [batch, sequence, heads, head_dim] views of the three parts.
struct QkvViews {
  at::Tensor queries;
  at::Tensor keys;
  at::Tensor values;
};
QkvViews SplitQkv(const at::Tensor& qkv, const AttentionDims& dims);

struct AttentionResult {
  at::Tensor out;        // [rows, heads * head_dim]
  at::Tensor logsumexp;  // what the gradient needs besides qkv and out
};

// Whether ATen's flash kernel runs; its logsumexp is [batch, heads, sequence].
bool UsesFlash(const at::Tensor& qkv, const AttentionDims& dims);

// Position i sees positions 0 ... i, with a window only the last of them. Scores are never kept
// whole: memory grows with the sequence, not with its square.
AttentionResult CausalAttention(const at::Tensor& qkv, const AttentionDims& dims);

// Gradient of qkv, in its layout. `result` is what CausalAttention gave.
at::Tensor CausalAttentionGrad(const at::Tensor& dout, const at::Tensor& qkv,
                               const AttentionResult& result, const AttentionDims& dims);

}  // namespace dropbp::trainer
