// The MLP branch: norm, gate and up projections, gated activation, down projection.
#pragma once

#include <utility>

#include "worker/trainer/model/branch.h"
#include "worker/trainer/model/elementwise.h"

namespace dropbp::trainer {

class MlpBranch : public Branch {
 public:
  MlpBranch(Activation activation, Norm norm, Norm post_norm, LinearGroup gate_up, LinearGroup down)
      : Branch(std::move(norm), std::move(post_norm), std::move(gate_up), std::move(down)),
        activation_(activation) {}

 protected:
  at::Tensor Mix(const at::Tensor& inner, const ForwardContext&, BranchTape*) override {
    return Glu(inner, activation_);
  }
  at::Tensor MixAgain(const BranchTape& tape) override { return Glu(tape.inner, activation_); }
  MixGrads MixGrad(const BranchTape& tape, const at::Tensor& dmixed) override {
    return {GluGrad(dmixed, tape.inner, activation_)};
  }

 private:
  Activation activation_;
};

}  // namespace dropbp::trainer
