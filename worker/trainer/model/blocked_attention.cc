#include "worker/trainer/model/blocked_attention.h"

#include <ATen/ATen.h>

#include <algorithm>

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
  int64_t first_row;
  int64_t rows;
  int64_t first_key;
  int64_t keys;
  CausalRows causal;

  at::Tensor RowsOf(const at::Tensor& t) const { return t.narrow(1, first_row, rows); }
  at::Tensor KeysOf(const at::Tensor& t) const { return t.narrow(1, first_key, keys); }
};

template <typename Body>
void ForEachBlock(const AttentionDims& dims, Body body) {
  const int64_t group = dims.heads / dims.kv_heads;
  const double scale = dims.softcap > 0 ? 1 : dims.Scale();  // a cap comes after the scale
  for (int64_t begin = 0; begin < dims.sequence; begin += kBlockPositions) {
    const int64_t end = std::min(begin + kBlockPositions, dims.sequence);
    const int64_t first_key = dims.window > 0 ? std::max<int64_t>(0, begin - dims.window + 1) : 0;
    body(Block{begin * group, (end - begin) * group, first_key, end - first_key,
               CausalRows{begin - first_key, group, scale, dims.window}});
  }
}

// Scores of a block, capped where there is a cap.
at::Tensor Scores(const at::Tensor& queries, const at::Tensor& keys, const Block& block,
                  const AttentionDims& dims) {
  at::Tensor scores = at::bmm(block.RowsOf(queries), block.KeysOf(keys).transpose(1, 2));
  if (dims.softcap > 0) SoftcapInPlace(scores, dims.Scale(), dims.softcap);
  return scores;
}

}  // namespace

AttentionResult BlockedAttention(const at::Tensor& qkv, const AttentionDims& dims) {
  const QkvViews views = SplitQkv(qkv, dims);
  const at::Tensor queries = ToProducts(views.queries, dims.kv_heads);
  const at::Tensor keys = ToProducts(views.keys, dims.kv_heads);
  const at::Tensor values = ToProducts(views.values, dims.kv_heads);
  at::Tensor mixed = at::empty_like(queries);
  at::Tensor logsumexp =
      at::empty({queries.size(0), queries.size(1)}, qkv.options().dtype(at::kFloat));
  ForEachBlock(dims, [&](const Block& block) {
    at::Tensor scores = Scores(queries, keys, block, dims);
    block.RowsOf(logsumexp).copy_(CausalSoftmaxInPlace(scores, block.causal));
    block.RowsOf(mixed).copy_(at::bmm(scores, block.KeysOf(values)));
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
  at::Tensor dqueries = at::empty_like(queries);
  at::Tensor dkeys = at::zeros_like(keys);
  at::Tensor dvalues = at::zeros_like(values);
  ForEachBlock(dims, [&](const Block& block) {
    const at::Tensor dblock = block.RowsOf(dmixed);
    at::Tensor weights = Scores(queries, keys, block, dims);
    const at::Tensor capped = dims.softcap > 0 ? weights.clone() : at::Tensor();
    CausalSoftmaxAgainInPlace(weights, block.RowsOf(result.logsumexp), block.causal);
    block.KeysOf(dvalues).baddbmm_(weights.transpose(1, 2), dblock);
    at::Tensor dscores = at::bmm(dblock, block.KeysOf(values).transpose(1, 2));
    SoftmaxGradInPlace(dscores, weights, block.RowsOf(delta), block.causal.scale);
    if (capped.defined()) SoftcapGradInPlace(dscores, capped, dims.Scale(), dims.softcap);
    block.RowsOf(dqueries).copy_(at::bmm(dscores, block.KeysOf(keys)));
    block.KeysOf(dkeys).baddbmm_(dscores.transpose(1, 2), block.RowsOf(queries));
  });
  at::Tensor dqkv = at::empty_like(qkv);
  const QkvViews parts = SplitQkv(dqkv, dims);
  FromProducts(dqueries, parts.queries, dims.kv_heads);
  FromProducts(dkeys, parts.keys, dims.kv_heads);
  FromProducts(dvalues, parts.values, dims.kv_heads);
  return dqkv;
}

}  // namespace dropbp::trainer
