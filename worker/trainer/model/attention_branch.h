// The attention branch: norm, q/k/v projections, rotary positions, causal attention, output
// projection.
#pragma once

#include "worker/trainer/model/branch.h"

namespace dropbp::trainer {

class AttentionBranch : public Branch {
 public:
  // `layer` is its index in a KvCache; of `dims` only heads, kv_heads and head_dim are read.
  AttentionBranch(int64_t layer, AttentionDims dims, ComputeCopy norm, double norm_epsilon,
                  LinearGroup qkv, LinearGroup out)
      : Branch(std::move(norm), norm_epsilon, std::move(qkv), std::move(out)),
        layer_(layer),
        dims_(dims) {}

 protected:
  at::Tensor Mix(const at::Tensor& inner, const ForwardContext& context, BranchTape* tape) override;
  at::Tensor MixAgain(const BranchTape& tape) override;
  at::Tensor MixGrad(const BranchTape& tape, const at::Tensor& dmixed) override;

 private:
  AttentionDims DimsOf(const ForwardContext& context) const;

  int64_t layer_;
  AttentionDims dims_;
};

}  // namespace dropbp::trainer
