#include "worker/trainer/model/kv_cache.h"

#include <ATen/ATen.h>

#include <optional>
#include <utility>

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
  visible_ = (causal.unsqueeze(0) & real.unsqueeze(1)).logical_or_(self.unsqueeze(0)).unsqueeze(1);
  length_ += columns;
  columns_ = columns;
  return (fresh.unsqueeze(0) - padding_).clamp_min_(0);
}

at::Tensor KvCache::Attend(int64_t layer, const at::Tensor& queries, const at::Tensor& keys,
                           const at::Tensor& values) {
  const int64_t first = length_ - columns_;
  keys_[layer].narrow(2, first, columns_).copy_(keys.transpose(1, 2));
  values_[layer].narrow(2, first, columns_).copy_(values.transpose(1, 2));
  const at::Tensor mixed = at::scaled_dot_product_attention(
      queries.transpose(1, 2), keys_[layer].narrow(2, 0, length_),
      values_[layer].narrow(2, 0, length_), visible_,
      /*dropout_p=*/0.0, /*is_causal=*/false, /*scale=*/std::nullopt, /*enable_gqa=*/true);
  return mixed.transpose(1, 2).reshape({queries.size(0) * columns_, -1});
}

}  // namespace dropbp::trainer
