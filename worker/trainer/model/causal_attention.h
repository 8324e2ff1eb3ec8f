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

// Scores are scaled by head_dim^-1/2; position i sees positions 0 ... i. Its scores are never kept
// whole: memory grows with the sequence, not with its square.
AttentionResult CausalAttention(const at::Tensor& qkv, const AttentionDims& dims);

// Gradient of qkv, in its layout. `result` is what CausalAttention gave.
at::Tensor CausalAttentionGrad(const at::Tensor& dout, const at::Tensor& qkv,
                               const AttentionResult& result, const AttentionDims& dims);

}  // namespace dropbp::trainer
