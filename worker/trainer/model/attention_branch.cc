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

at::Tensor AttentionBranch::Mix(const at::Tensor& inner, const ForwardContext& context,
                                BranchTape* tape) {
  RotateInPlace(inner, dims_.heads + dims_.kv_heads, context.cos, context.sin, /*inverse=*/false);
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
  RotateInPlace(dqkv, dims_.heads + dims_.kv_heads, tape.context.cos, tape.context.sin,
                /*inverse=*/true);
  return dqkv;
}

}  // namespace dropbp::trainer
