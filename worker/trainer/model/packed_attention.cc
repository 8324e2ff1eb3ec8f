#include "worker/trainer/model/packed_attention.h"

#include <ATen/ATen.h>

namespace dropbp::trainer {
namespace {

// One sample: its rows of the batch, and its dimensions as a batch of its own.
struct Segment {
  int64_t begin;
  AttentionDims dims;

  at::Tensor RowsOf(const at::Tensor& t) const { return t.narrow(0, begin, dims.sequence); }
};

template <typename Body>
void ForEachSegment(const RowSegments& segments, const AttentionDims& dims, Body body) {
  Segment segment{0, dims};
  segment.dims.batch = 1;
  for (size_t row = 0; row < segments.size(); ++row) {
    segment.begin = static_cast<int64_t>(row) * dims.sequence;
    for (const int64_t length : segments[row]) {
      segment.dims.sequence = length;
      body(segment);
      segment.begin += length;
    }
  }
}

// A kernel's logsumexp of one sample as [length, heads], and the way back.
at::Tensor ByToken(const at::Tensor& logsumexp, const AttentionDims& dims, bool flash) {
  if (flash) return logsumexp.view({dims.heads, dims.sequence}).t();
  return logsumexp.view({dims.kv_heads, dims.sequence, -1}).transpose(0, 1).flatten(1);
}
at::Tensor ByHead(const at::Tensor& by_token, const AttentionDims& dims, bool flash) {
  if (flash) return by_token.t().contiguous().unsqueeze(0);
  return by_token.unflatten(1, {dims.kv_heads, -1}).transpose(0, 1).flatten(1);
}

}  // namespace

AttentionResult PackedAttention(const at::Tensor& qkv, const AttentionDims& dims,
                                const RowSegments& segments) {
  AttentionResult all{at::zeros({qkv.size(0), dims.heads * dims.head_dim}, qkv.options()),
                      at::zeros({qkv.size(0), dims.heads}, qkv.options().dtype(at::kFloat))};
  ForEachSegment(segments, dims, [&](const Segment& segment) {
    const at::Tensor rows = segment.RowsOf(qkv);
    const AttentionResult own = CausalAttention(rows, segment.dims);
    segment.RowsOf(all.out).copy_(own.out);
    segment.RowsOf(all.logsumexp)
        .copy_(ByToken(own.logsumexp, segment.dims, UsesFlash(rows, segment.dims)));
  });
  return all;
}

at::Tensor PackedAttentionGrad(const at::Tensor& dout, const at::Tensor& qkv,
                               const AttentionResult& result, const AttentionDims& dims,
                               const RowSegments& segments) {
  at::Tensor dqkv = at::zeros_like(qkv);
  ForEachSegment(segments, dims, [&](const Segment& segment) {
    const at::Tensor rows = segment.RowsOf(qkv);
    const AttentionResult own{
        segment.RowsOf(result.out),
        ByHead(segment.RowsOf(result.logsumexp), segment.dims, UsesFlash(rows, segment.dims))};
    segment.RowsOf(dqkv).copy_(CausalAttentionGrad(segment.RowsOf(dout), rows, own, segment.dims));
  });
  return dqkv;
}

}  // namespace dropbp::trainer
