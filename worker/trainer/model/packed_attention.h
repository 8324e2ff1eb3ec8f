// Causal attention where several samples share a row: each sees itself alone.
#pragma once

#include "worker/trainer/model/causal_attention.h"
#include "worker/trainer/model/row_segments.h"

namespace dropbp::trainer {

// As CausalAttention, sample by sample: the same operations on a sample's rows as where it has a
// sequence of its own. Padding attends to nothing, its output is zero. `logsumexp` is fp32
// [rows, heads]. One call a sample: on a GPU many short ones are many small kernels.
AttentionResult PackedAttention(const at::Tensor& qkv, const AttentionDims& dims,
                                const RowSegments& segments);

// As CausalAttentionGrad; zero for padding.
at::Tensor PackedAttentionGrad(const at::Tensor& dout, const at::Tensor& qkv,
                               const AttentionResult& result, const AttentionDims& dims,
                               const RowSegments& segments);

}  // namespace dropbp::trainer
