#include "worker/trainer/model/blocked_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kBlockPositions = 128;

// [batch, sequence, kv_heads * group, head_dim] -> contiguous [batch * kv_heads, sequence * group,
// head_dim].
at::Tensor ToProducts(const at::Tensor& view, int64_t kv_heads) {
  const int64_t batch = view.size(0), sequence = view.size(1), head_dim = view.size(3);
  const int64_t rows = sequence * (view.size(2) / kv_heads);
  return view.unflatten(2, {kv_heads, -1})
      .transpose(1, 2)
      .reshape({batch * kv_heads, rows, head_dim});
}

// The way back, into `view`.
void FromProducts(const at::Tensor& product, const at::Tensor& view, int64_t kv_heads) {
  const int64_t batch = view.size(0), sequence = view.size(1), head_dim = view.size(3);
  view.unflatten(2, {kv_heads, -1})
      .copy_(product.view({batch, kv_heads, sequence, -1, head_dim}).transpose(1, 2));
}

// One block of query positions, and the keys it can see.
struct Block {
  int64_t first_position;
  int64_t first_row;
  int64_t rows;
  int64_t keys;
};

template <typename Body>
void ForEachBlock(const AttentionDims& dims, Body body) {
  const int64_t group = dims.heads / dims.kv_heads;
  for (int64_t begin = 0; begin < dims.sequence; begin += kBlockPositions) {
    const int64_t end = std::min(begin + kBlockPositions, dims.sequence);
    body(Block{begin, begin * group, (end - begin) * group, end});
  }
}

at::Tensor Scores(const at::Tensor& queries, const at::Tensor& keys, const Block& block) {
  return at::bmm(queries.narrow(1, block.first_row, block.rows),
                 keys.narrow(1, 0, block.keys).transpose(1, 2));
}

}  // namespace

AttentionResult BlockedAttention(const at::Tensor& qkv, const AttentionDims& dims) {
  const QkvViews views = SplitQkv(qkv, dims);
  const at::Tensor queries = ToProducts(views.queries, dims.kv_heads);
  const at::Tensor keys = ToProducts(views.keys, dims.kv_heads);
  const at::Tensor values = ToProducts(views.values, dims.kv_heads);
  const int64_t group = dims.heads / dims.kv_heads;
  const double scale = 1 / std::sqrt(static_cast<double>(dims.head_dim));
  at::Tensor mixed = at::empty_like(queries);
  at::Tensor logsumexp =
      at::empty({queries.size(0), queries.size(1)}, qkv.options().dtype(at::kFloat));
  ForEachBlock(dims, [&](const Block& block) {
    at::Tensor scores = Scores(queries, keys, block);
    logsumexp.narrow(1, block.first_row, block.rows)
        .copy_(CausalSoftmaxInPlace(scores, {block.first_position, group, scale}));
    at::Tensor out = mixed.narrow(1, block.first_row, block.rows);
    out.copy_(at::bmm(scores, values.narrow(1, 0, block.keys)));
  });
  at::Tensor out = at::empty({qkv.size(0), dims.heads * dims.head_dim}, qkv.options());
  FromProducts(mixed, out.view({dims.batch, dims.sequence, dims.heads, dims.head_dim}),
               dims.kv_heads);
  return {out, logsumexp};
}

at::Tensor BlockedAttentionGrad(const at::Tensor& dout, const at::Tensor& qkv,
                                const AttentionResult& result, const AttentionDims& dims) {
  const QkvViews views = SplitQkv(qkv, dims);
  const at::Tensor queries = ToProducts(views.queries, dims.kv_heads);
  const at::Tensor keys = ToProducts(views.keys, dims.kv_heads);
  const at::Tensor values = ToProducts(views.values, dims.kv_heads);
  const auto by_head = [&](const at::Tensor& t) {
    return t.view({dims.batch, dims.sequence, dims.heads, dims.head_dim});
  };
  const at::Tensor dmixed = ToProducts(by_head(dout), dims.kv_heads);
  const at::Tensor delta =
      dmixed.to(at::kFloat).mul(ToProducts(by_head(result.out), dims.kv_heads)).sum(-1);
  const int64_t group = dims.heads / dims.kv_heads;
  const double scale = 1 / std::sqrt(static_cast<double>(dims.head_dim));
  at::Tensor dqueries = at::empty_like(queries);
  at::Tensor dkeys = at::zeros_like(keys);
  at::Tensor dvalues = at::zeros_like(values);
  ForEachBlock(dims, [&](const Block& block) {
    const at::Tensor dblock = dmixed.narrow(1, block.first_row, block.rows);
    const CausalRows rows{block.first_position, group, scale};
    at::Tensor weights = Scores(queries, keys, block);
    CausalSoftmaxAgainInPlace(weights, result.logsumexp.narrow(1, block.first_row, block.rows),
                              rows);
    dvalues.narrow(1, 0, block.keys).baddbmm_(weights.transpose(1, 2), dblock);
    at::Tensor dscores = at::bmm(dblock, values.narrow(1, 0, block.keys).transpose(1, 2));
    SoftmaxGradInPlace(dscores, weights, delta.narrow(1, block.first_row, block.rows), scale);
    dqueries.narrow(1, block.first_row, block.rows)
        .copy_(at::bmm(dscores, keys.narrow(1, 0, block.keys)));
    dkeys.narrow(1, 0, block.keys)
        .baddbmm_(dscores.transpose(1, 2), queries.narrow(1, block.first_row, block.rows));
  });
  at::Tensor dqkv = at::empty_like(qkv);
  const QkvViews parts = SplitQkv(dqkv, dims);
  FromProducts(dqueries, parts.queries, dims.kv_heads);
  FromProducts(dkeys, parts.keys, dims.kv_heads);
  FromProducts(dvalues, parts.values, dims.kv_heads);
  return dqkv;
}

}  // namespace dropbp::trainer
