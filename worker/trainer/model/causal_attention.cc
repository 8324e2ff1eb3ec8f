#include "worker/trainer/model/causal_attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "worker/trainer/model/blocked_attention.h"

namespace dropbp::trainer {
namespace {

at::Tensor Heads(const at::Tensor& view) { return view.transpose(1, 2); }

AttentionResult Flash(const at::Tensor& qkv, const AttentionDims& dims) {
  const QkvViews views = SplitQkv(qkv, dims);
  const auto result = at::_scaled_dot_product_flash_attention(
      Heads(views.queries), Heads(views.keys), Heads(views.values), /*dropout_p=*/0.0,
      /*is_causal=*/true, /*return_debug_mask=*/false, dims.Scale());
  const at::Tensor out =
      std::get<0>(result).transpose(1, 2).reshape({qkv.size(0), dims.heads * dims.head_dim});
  return {out, std::get<1>(result)};
}

at::Tensor FlashGrad(const at::Tensor& dout, const at::Tensor& qkv, const AttentionResult& result,
                     const AttentionDims& dims) {
  const QkvViews views = SplitQkv(qkv, dims);
  const std::vector<int64_t> shape = {dims.batch, dims.sequence, dims.heads, dims.head_dim};
  const at::Tensor no_dropout = at::empty({2}, qkv.options().dtype(at::kUInt64));
  const auto grads = at::_scaled_dot_product_flash_attention_backward(
      Heads(dout.view(shape)), Heads(views.queries), Heads(views.keys), Heads(views.values),
      Heads(result.out.view(shape)), result.logsumexp, /*cum_seq_q=*/{}, /*cum_seq_k=*/{},
      dims.sequence, dims.sequence, /*dropout_p=*/0.0, /*is_causal=*/true, no_dropout,
      no_dropout.new_empty({}), dims.Scale());
  at::Tensor dqkv = at::empty_like(qkv);
  const QkvViews parts = SplitQkv(dqkv, dims);
  parts.queries.copy_(std::get<0>(grads).transpose(1, 2));
  parts.keys.copy_(std::get<1>(grads).transpose(1, 2));
  parts.values.copy_(std::get<2>(grads).transpose(1, 2));
  return dqkv;
}

}  // namespace

double AttentionDims::Scale() const {
  return scale > 0 ? scale : 1 / std::sqrt(static_cast<double>(head_dim));
}

QkvViews SplitQkv(const at::Tensor& qkv, const AttentionDims& dims) {
  const at::Tensor heads =
      qkv.view({dims.batch, dims.sequence, dims.heads + 2 * dims.kv_heads, dims.head_dim});
  return {heads.narrow(2, 0, dims.heads), heads.narrow(2, dims.heads, dims.kv_heads),
          heads.narrow(2, dims.heads + dims.kv_heads, dims.kv_heads)};
}

// ATen's kernel knows neither windows nor caps.
bool UsesFlash(const at::Tensor& qkv, const AttentionDims& dims) {
  const bool plain = dims.softcap == 0 && (dims.window == 0 || dims.window >= dims.sequence);
  return plain && qkv.is_cuda() && qkv.scalar_type() == at::kBFloat16 && dims.head_dim % 8 == 0 &&
         dims.head_dim <= 256;
}

AttentionResult CausalAttention(const at::Tensor& qkv, const AttentionDims& dims) {
  return UsesFlash(qkv, dims) ? Flash(qkv, dims) : BlockedAttention(qkv, dims);
}

at::Tensor CausalAttentionGrad(const at::Tensor& dout, const at::Tensor& qkv,
                               const AttentionResult& result, const AttentionDims& dims) {
  return UsesFlash(qkv, dims) ? FlashGrad(dout, qkv, result, dims)
                              : BlockedAttentionGrad(dout, qkv, result, dims);
}

}  // namespace dropbp::trainer
