#include "worker/trainer/model/kv_cache.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer {

KvCache::KvCache(const Shape& shape, at::Tensor padding, at::TensorOptions options)
    : capacity_(shape.capacity), padding_(padding.to(options.device()).view({shape.batch, 1})) {
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    keys_.push_back(
        at::empty({shape.batch, shape.kv_heads, shape.capacity, shape.head_dim}, options));
    values_.push_back(at::empty_like(keys_.back()));
  }
}

at::Tensor KvCache::Begin(int64_t columns) {
  TORCH_CHECK(length_ + columns <= capacity_, "KV cache of ", capacity_, " columns is full");
  const at::Tensor all = at::arange(length_ + columns, padding_.options());
  const at::Tensor fresh = all.narrow(0, length_, columns);
  const at::Tensor causal = all.unsqueeze(0) <= fresh.unsqueeze(1);
  const at::Tensor real = all.unsqueeze(0) >= padding_;
  // A padding column sees itself, so that its softmax has something to sum.
  const at::Tensor self = all.unsqueeze(0) == fresh.unsqueeze(1);
  visible_.clear();
  visible_[0] =
      (causal.unsqueeze(0) & real.unsqueeze(1)).logical_or_(self.unsqueeze(0)).unsqueeze(1);
  length_ += columns;
  columns_ = columns;
  return (fresh.unsqueeze(0) - padding_).clamp_min_(0);
}

const at::Tensor& KvCache::Visible(int64_t window) {
  at::Tensor& visible = visible_[window];
  if (!visible.defined()) {
    const at::Tensor all = at::arange(length_, padding_.options());
    const at::Tensor fresh = all.narrow(0, length_ - columns_, columns_);
    visible = visible_.at(0) & (all.unsqueeze(0) > fresh.unsqueeze(1) - window);
  }
  return visible;
}

namespace {

// Attention whose scores are capped, which ATen's has no place for. All [batch, heads, .,
// head_dim].
at::Tensor CappedAttention(const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& values, const at::Tensor& visible,
                           const AttentionDims& dims) {
  const at::Tensor grouped = queries.unflatten(1, {dims.kv_heads, -1});
  at::Tensor scores = at::matmul(grouped, keys.unsqueeze(2).transpose(-1, -2));
  SoftcapInPlace(scores, dims.Scale(), dims.softcap);
  const at::Tensor weights =
      scores.to(at::kFloat).masked_fill(visible.unsqueeze(2).logical_not(), -INFINITY).softmax(-1);
  return at::matmul(weights.to(values.scalar_type()), values.unsqueeze(2)).flatten(1, 2);
}

}  // namespace

at::Tensor KvCache::Attend(int64_t layer, const QkvViews& qkv, const AttentionDims& dims) {
  const int64_t first = length_ - columns_;
  keys_[layer].narrow(2, first, columns_).copy_(qkv.keys.transpose(1, 2));
  values_[layer].narrow(2, first, columns_).copy_(qkv.values.transpose(1, 2));
  const at::Tensor queries = qkv.queries.transpose(1, 2);
  const at::Tensor keys = keys_[layer].narrow(2, 0, length_);
  const at::Tensor values = values_[layer].narrow(2, 0, length_);
  const at::Tensor& visible = Visible(dims.window);
  const at::Tensor mixed = dims.softcap > 0 ? CappedAttention(queries, keys, values, visible, dims)
                                            : at::scaled_dot_product_attention(
                                                  queries, keys, values, visible, /*dropout_p=*/0.0,
                                                  /*is_causal=*/false, dims.Scale(),
                                                  /*enable_gqa=*/true);
  return mixed.transpose(1, 2).reshape({queries.size(0) * columns_, -1});
}

}  // namespace dropbp::trainer
