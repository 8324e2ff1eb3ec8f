#include "worker/trainer/model/attention_branch.h"

#include <ATen/ATen.h>

#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/packed_attention.h"

namespace dropbp::trainer {
namespace {

// Columns of the queries' heads and of the keys' heads, as views of [rows, all heads * head_dim].
struct HeadColumns {
  HeadColumns(const at::Tensor& qkv, const AttentionDims& dims)
      : queries(qkv.narrow(1, 0, dims.heads * dims.head_dim)),
        keys(qkv.narrow(1, dims.heads * dims.head_dim, dims.kv_heads * dims.head_dim)) {}

  at::Tensor queries;
  at::Tensor keys;
};

// One head a row, contiguous.
at::Tensor HeadRows(const at::Tensor& columns, int64_t head_dim) {
  return columns.reshape({-1, head_dim});
}

}  // namespace

AttentionDims AttentionBranch::DimsOf(const ForwardContext& context) const {
  AttentionDims dims = settings_.dims;
  dims.batch = context.batch;
  dims.sequence = context.sequence;
  return dims;
}

RopeAngles AttentionBranch::AnglesOf(const ForwardContext& context) const {
  const RopeAngles& all = context.angles[settings_.rope];
  const bool same_for_all = all.cos.size(0) == 1;
  if (same_for_all || !context.sequences.defined()) return all;
  return {all.cos.index_select(0, context.sequences), all.sin.index_select(0, context.sequences)};
}

void AttentionBranch::Rotate(const at::Tensor& qkv, const ForwardContext& context) const {
  if (settings_.rope < 0) return;
  RotateInPlace(qkv, rotated_heads(), settings_.dims.head_dim, AnglesOf(context));
}

AttentionResult AttentionBranch::Attend(const at::Tensor& qkv,
                                        const ForwardContext& context) const {
  if (context.segments.empty()) return CausalAttention(qkv, DimsOf(context));
  return PackedAttention(qkv, DimsOf(context), context.segments);
}

at::Tensor AttentionBranch::AttendGrad(const at::Tensor& dmixed, const at::Tensor& qkv,
                                       const BranchTape& tape) const {
  const ForwardContext& context = tape.context;
  if (context.segments.empty())
    return CausalAttentionGrad(dmixed, qkv, tape.mixed, DimsOf(context));
  return PackedAttentionGrad(dmixed, qkv, tape.mixed, DimsOf(context), context.segments);
}

at::Tensor AttentionBranch::NormHeads(const at::Tensor& inner, BranchTape* tape) const {
  const AttentionDims& dims = settings_.dims;
  const at::Tensor qkv = inner.clone();
  const HeadColumns raw(inner, dims), normed(qkv, dims);
  const RmsNormResult queries = settings_.query_norm.Forward(HeadRows(raw.queries, dims.head_dim));
  const RmsNormResult keys = settings_.key_norm.Forward(HeadRows(raw.keys, dims.head_dim));
  normed.queries.copy_(queries.y.view(normed.queries.sizes()));
  normed.keys.copy_(keys.y.view(normed.keys.sizes()));
  if (tape != nullptr) {
    tape->query_inverse_rms = queries.inverse_rms;
    tape->key_inverse_rms = keys.inverse_rms;
  }
  return qkv;
}

at::Tensor AttentionBranch::NormHeadsAgain(const BranchTape& tape) const {
  const AttentionDims& dims = settings_.dims;
  const at::Tensor qkv = tape.inner.clone();
  const HeadColumns raw(tape.inner, dims), normed(qkv, dims);
  const auto again = [&](const Norm& norm, const at::Tensor& columns, const at::Tensor& rms) {
    return norm.Again(HeadRows(columns, dims.head_dim), rms).view(columns.sizes());
  };
  normed.queries.copy_(again(settings_.query_norm, raw.queries, tape.query_inverse_rms));
  normed.keys.copy_(again(settings_.key_norm, raw.keys, tape.key_inverse_rms));
  return qkv;
}

Branch::MixGrads AttentionBranch::NormHeadsGrad(const BranchTape& tape, at::Tensor dqkv) const {
  const AttentionDims& dims = settings_.dims;
  const HeadColumns raw(tape.inner, dims), cotangents(dqkv, dims);
  MixGrads grads{dqkv};
  const auto through = [&](const Norm& norm, const at::Tensor& columns, const at::Tensor& rms,
                           const at::Tensor& cotangent) {
    const at::Tensor x = HeadRows(columns, dims.head_dim);
    const at::Tensor dy = HeadRows(cotangent, dims.head_dim);
    if (norm.leaf().defined()) grads.parameters.push_back(norm.WeightGrad(dy, x, rms));
    cotangent.copy_(norm.InputGrad(dy, x, rms).view(cotangent.sizes()));
  };
  through(settings_.query_norm, raw.queries, tape.query_inverse_rms, cotangents.queries);
  through(settings_.key_norm, raw.keys, tape.key_inverse_rms, cotangents.keys);
  return grads;
}

at::Tensor AttentionBranch::Mix(const at::Tensor& inner, const ForwardContext& context,
                                BranchTape* tape) {
  const at::Tensor qkv = norms_heads() ? NormHeads(inner, tape) : inner;
  Rotate(qkv, context);
  if (context.cache != nullptr) {
    const AttentionDims dims = DimsOf(context);
    return context.cache->Attend(settings_.layer, SplitQkv(qkv, dims), dims);
  }
  AttentionResult result = Attend(qkv, context);
  if (tape != nullptr) tape->mixed = result;
  return result.out;
}

at::Tensor AttentionBranch::MixAgain(const BranchTape& tape) { return tape.mixed.out; }

Branch::MixGrads AttentionBranch::MixGrad(const BranchTape& tape, const at::Tensor& dmixed) {
  at::Tensor qkv = tape.inner;  // rotated in place, unless heads are normed
  if (norms_heads()) {
    qkv = NormHeadsAgain(tape);
    Rotate(qkv, tape.context);
  }
  const at::Tensor dqkv = AttendGrad(dmixed, qkv, tape);
  if (settings_.rope >= 0) {
    RotateGradInPlace(dqkv, rotated_heads(), settings_.dims.head_dim, AnglesOf(tape.context));
  }
  return norms_heads() ? NormHeadsGrad(tape, dqkv) : MixGrads{dqkv};
}

std::vector<at::Tensor> AttentionBranch::MixParameters() const {
  std::vector<at::Tensor> leaves;
  for (const Norm* norm : {&settings_.query_norm, &settings_.key_norm}) {
    if (norm->leaf().defined()) leaves.push_back(norm->leaf());
  }
  return leaves;
}

}  // namespace dropbp::trainer
