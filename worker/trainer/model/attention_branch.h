// The attention branch: norm, q/k/v projections, norms of heads (Qwen3, Gemma 3), rotary positions,
// causal attention, output projection.
#pragma once

#include <utility>
#include <vector>

#include "worker/trainer/model/branch.h"

namespace dropbp::trainer {

// What one layer's attention is.
struct AttentionSettings {
  int64_t layer = 0;   // its index in a KvCache
  AttentionDims dims;  // batch and sequence are not read
  int rope = 0;        // index into ForwardContext::angles; -1: heads are not rotated
  Norm query_norm;     // over each head, before rotation; may be none
  Norm key_norm;
};

class AttentionBranch : public Branch {
 public:
  AttentionBranch(AttentionSettings settings, Norm norm, Norm post_norm, LinearGroup qkv,
                  LinearGroup out)
      : Branch(std::move(norm), std::move(post_norm), std::move(qkv), std::move(out)),
        settings_(std::move(settings)) {}

 protected:
  at::Tensor Mix(const at::Tensor& inner, const ForwardContext& context, BranchTape* tape) override;
  at::Tensor MixAgain(const BranchTape& tape) override;
  MixGrads MixGrad(const BranchTape& tape, const at::Tensor& dmixed) override;
  std::vector<at::Tensor> MixParameters() const override;

 private:
  AttentionDims DimsOf(const ForwardContext& context) const;
  bool norms_heads() const { return settings_.query_norm.defined(); }
  int64_t rotated_heads() const { return settings_.dims.heads + settings_.dims.kv_heads; }
  // Queries and keys of `inner` normed, values as they are; its inverse rms in `tape` if not null.
  at::Tensor NormHeads(const at::Tensor& inner, BranchTape* tape) const;
  // The same again.
  at::Tensor NormHeadsAgain(const BranchTape& tape) const;
  // From the cotangent of NormHeads' value to that of `inner`, in place, and the norms' gradients.
  MixGrads NormHeadsGrad(const BranchTape& tape, at::Tensor dqkv) const;
  RopeAngles AnglesOf(const ForwardContext& context) const;
  void Rotate(const at::Tensor& qkv, const ForwardContext& context) const;
  AttentionResult Attend(const at::Tensor& qkv, const ForwardContext& context) const;
  at::Tensor AttendGrad(const at::Tensor& dmixed, const at::Tensor& qkv,
                        const BranchTape& tape) const;

  AttentionSettings settings_;
};

}  // namespace dropbp::trainer
