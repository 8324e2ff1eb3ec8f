// The MLP branch: norm, gate and up projections, SwiGLU, down projection.
#pragma once

#include "worker/trainer/model/branch.h"
#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer {

class MlpBranch : public Branch {
 public:
  using Branch::Branch;

 protected:
  at::Tensor Mix(const at::Tensor& inner, const ForwardContext&, BranchTape*) override {
    return SwiGlu(inner);
  }
  at::Tensor MixAgain(const BranchTape& tape) override { return SwiGlu(tape.inner); }
  at::Tensor MixGrad(const BranchTape& tape, const at::Tensor& dmixed) override {
    return SwiGluGrad(dmixed, tape.inner);
  }
};

}  // namespace dropbp::trainer
