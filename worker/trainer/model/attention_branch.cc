#include "worker/trainer/model/attention_branch.h"

#include <ATen/ATen.h>

#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer {

AttentionDims AttentionBranch::DimsOf(const ForwardContext& context) const {
  AttentionDims dims = dims_;
  dims.batch = context.batch;
  dims.sequence = context.sequence;
  return dims;
}

void AttentionBranch::Rotate(const at::Tensor& qkv, const ForwardContext& context,
                             bool inverse) const {
  const int64_t rotated = dims_.heads + dims_.kv_heads;
  const at::Tensor heads =
      qkv.view({context.batch, context.sequence, rotated + dims_.kv_heads, dims_.head_dim})
          .narrow(2, 0, rotated);
  RotateInPlace(heads, context.cos, context.sin, inverse);
}

at::Tensor AttentionBranch::Mix(const at::Tensor& inner, const ForwardContext& context,
                                BranchTape* tape) {
  Rotate(inner, context, /*inverse=*/false);
  const AttentionDims dims = DimsOf(context);
  if (context.cache != nullptr) {
    const QkvViews views = SplitQkv(inner, dims);
    return context.cache->Attend(layer_, views.queries, views.keys, views.values);
  }
  AttentionResult result = CausalAttention(inner, dims);
  if (tape != nullptr) tape->mixed = result;
  return result.out;
}

at::Tensor AttentionBranch::MixAgain(const BranchTape& tape) { return tape.mixed.out; }

at::Tensor AttentionBranch::MixGrad(const BranchTape& tape, const at::Tensor& dmixed) {
  const at::Tensor dqkv = CausalAttentionGrad(dmixed, tape.inner, tape.mixed, DimsOf(tape.context));
  Rotate(dqkv, tape.context, /*inverse=*/true);
  return dqkv;
}

}  // namespace dropbp::trainer
