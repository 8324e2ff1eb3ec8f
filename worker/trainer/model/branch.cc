#include "worker/trainer/model/branch.h"

#include <ATen/ATen.h>

#include <memory>
#include <utility>

#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/recorded.h"

namespace dropbp::trainer {

Branch::Branch(ComputeCopy norm, double norm_epsilon, LinearGroup in, LinearGroup out)
    : norm_(std::move(norm)),
      norm_epsilon_(norm_epsilon),
      in_(std::move(in)),
      out_(std::move(out)) {}

at::Tensor Branch::Forward(const at::Tensor& x, const ForwardContext& context, BranchTape* tape) {
  RmsNormResult normed = RmsNorm(x, norm_.Get(), norm_epsilon_);
  const at::Tensor inner =
      in_.Forward(normed.y, context.dropout, tape != nullptr ? &tape->in : nullptr);
  normed.y.reset();
  const at::Tensor mixed = Mix(inner, context, tape);
  if (tape != nullptr) {
    tape->context = context;
    tape->x = x;
    tape->inverse_rms = normed.inverse_rms;
    tape->inner = inner;
  }
  return out_.Forward(mixed, context.dropout, tape != nullptr ? &tape->out : nullptr);
}

std::vector<at::Tensor> Branch::Backward(const BranchTape& tape, const at::Tensor& dy,
                                         bool input_needed) {
  const at::Tensor weight = norm_.Get();
  const bool norm_trained = norm_.leaf().defined();
  LinearGrads out =
      out_.Backward(tape.out, out_.has_parameters() ? MixAgain(tape) : at::Tensor(), dy,
                    /*input_needed=*/true);
  const at::Tensor dinner = MixGrad(tape, out.input);
  out.input.reset();
  const at::Tensor normed =
      in_.has_parameters() ? RmsNormAgain(tape.x, weight, tape.inverse_rms) : at::Tensor();
  const LinearGrads in = in_.Backward(tape.in, normed, dinner, input_needed || norm_trained);
  std::vector<at::Tensor> grads(1);
  if (input_needed) grads[0] = RmsNormInputGrad(in.input, tape.x, weight, tape.inverse_rms);
  if (norm_trained) grads.push_back(RmsNormWeightGrad(in.input, tape.x, tape.inverse_rms));
  grads.insert(grads.end(), in.parameters.begin(), in.parameters.end());
  grads.insert(grads.end(), out.parameters.begin(), out.parameters.end());
  return grads;
}

std::vector<at::Tensor> Branch::parameters() const {
  std::vector<at::Tensor> all;
  if (norm_.leaf().defined()) all.push_back(norm_.leaf());
  for (const LinearGroup* group : {&in_, &out_}) {
    all.insert(all.end(), group->parameters().begin(), group->parameters().end());
  }
  return all;
}

at::Tensor ResidualUnit(Branch& branch, const at::Tensor& x, const ForwardContext& context,
                        bool keep) {
  std::vector<at::Tensor> inputs = {x};
  for (at::Tensor& parameter : branch.parameters()) inputs.push_back(std::move(parameter));
  const bool record = keep && AnyRequiresGrad(inputs);
  const auto tape = record ? std::make_shared<BranchTape>() : nullptr;
  at::Tensor value;
  {
    at::NoGradGuard no_grad;
    value = branch.Forward(x, context, tape.get());
    if (record) value.add_(x);
  }
  // Outside the guard, so that the residual path itself is recorded.
  if (!record) return value.add_(x);
  return Recorded(
      value, inputs, [&branch, tape](const at::Tensor& dy, const std::vector<bool>& needed) {
        std::vector<at::Tensor> grads = branch.Backward(*tape, dy.contiguous(), needed[0]);
        if (needed[0]) grads[0].add_(dy);
        return grads;
      });
}

}  // namespace dropbp::trainer
