#include "worker/trainer/model/branch.h"

#include <ATen/ATen.h>

#include <utility>

#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/recorded.h"
#include "worker/trainer/model/unit_record.h"

namespace dropbp::trainer {
namespace {

// Rows of the sequences with the given indices. The first dimension of `t` is the batch's times
// something.
at::Tensor RowsOf(const at::Tensor& t, int64_t batch, const at::Tensor& index) {
  if (!t.defined()) return t;
  return t.unflatten(0, {batch, -1}).index_select(0, index).flatten(0, 1);
}

}  // namespace

BranchTape BranchTape::Select(const UnitMask& mask) const {
  const auto pick = [&](const at::Tensor& t) { return RowsOf(t, context.batch, mask.index); };
  BranchTape selected;
  selected.context = context;
  selected.context.batch = mask.index.numel();
  selected.context.sequences = mask.index;
  if (!context.segments.empty()) {
    selected.context.segments.clear();
    for (const int64_t row : mask.sequences)
      selected.context.segments.push_back(context.segments[row]);
  }
  selected.x = pick(x);
  selected.inverse_rms = pick(inverse_rms);
  selected.inner = pick(inner);
  selected.mixed = {pick(mixed.out), pick(mixed.logsumexp)};
  selected.query_inverse_rms = pick(query_inverse_rms);
  selected.key_inverse_rms = pick(key_inverse_rms);
  selected.unnormed = pick(unnormed);
  selected.post_inverse_rms = pick(post_inverse_rms);
  const auto pick_linear = [&](const LinearTape& t) {
    return LinearTape{.lora = {pick(t.lora.down), pick(t.lora.dropout_mask)},
                      .before_factors = pick(t.before_factors)};
  };
  selected.in = pick_linear(in);
  selected.out = pick_linear(out);
  return selected;
}

Branch::Branch(Norm norm, Norm post_norm, LinearGroup in, LinearGroup out)
    : norm_(std::move(norm)),
      post_norm_(std::move(post_norm)),
      in_(std::move(in)),
      out_(std::move(out)) {}

at::Tensor Branch::Mixed(const at::Tensor& x, const ForwardContext& context, BranchTape* tape) {
  RmsNormResult normed = norm_.Forward(x);
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
  return mixed;
}

at::Tensor Branch::Forward(const at::Tensor& x, const ForwardContext& context, BranchTape* tape) {
  const at::Tensor mixed = Mixed(x, context, tape);
  const at::Tensor out =
      out_.Forward(mixed, context.dropout, tape != nullptr ? &tape->out : nullptr);
  if (!post_norm_.defined()) return out;
  const RmsNormResult post = post_norm_.Forward(out);
  if (tape != nullptr) {
    tape->unnormed = out;
    tape->post_inverse_rms = post.inverse_rms;
  }
  return post.y;
}

BranchTape Branch::Record(const at::Tensor& x, const ForwardContext& context) {
  BranchTape tape;
  if (post_norm_.defined()) {  // its gradient needs what enters it
    Forward(x, context, &tape);
  } else {
    out_.Record(Mixed(x, context, &tape), context.dropout, tape.out);
  }
  return tape;
}

std::vector<at::Tensor> Branch::Backward(const BranchTape& tape, const at::Tensor& dy,
                                         bool input_needed) {
  const bool norm_trained = norm_.leaf().defined();
  const at::Tensor dout =
      post_norm_.defined() ? post_norm_.InputGrad(dy, tape.unnormed, tape.post_inverse_rms) : dy;
  LinearGrads out =
      out_.Backward(tape.out, out_.has_parameters() ? MixAgain(tape) : at::Tensor(), dout,
                    /*input_needed=*/true);
  const MixGrads mix = MixGrad(tape, out.input);
  out.input.reset();
  const at::Tensor normed =
      in_.has_parameters() ? norm_.Again(tape.x, tape.inverse_rms) : at::Tensor();
  const LinearGrads in = in_.Backward(tape.in, normed, mix.inner, input_needed || norm_trained);
  std::vector<at::Tensor> grads(1);
  if (input_needed) grads[0] = norm_.InputGrad(in.input, tape.x, tape.inverse_rms);
  if (norm_trained) grads.push_back(norm_.WeightGrad(in.input, tape.x, tape.inverse_rms));
  grads.insert(grads.end(), mix.parameters.begin(), mix.parameters.end());
  if (post_norm_.leaf().defined())
    grads.push_back(post_norm_.WeightGrad(dy, tape.unnormed, tape.post_inverse_rms));
  grads.insert(grads.end(), in.parameters.begin(), in.parameters.end());
  grads.insert(grads.end(), out.parameters.begin(), out.parameters.end());
  return grads;
}

std::vector<at::Tensor> Branch::parameters() const {
  std::vector<at::Tensor> all;
  if (norm_.leaf().defined()) all.push_back(norm_.leaf());
  for (const at::Tensor& leaf : MixParameters()) all.push_back(leaf);
  if (post_norm_.leaf().defined()) all.push_back(post_norm_.leaf());
  for (const LinearGroup* group : {&in_, &out_}) {
    all.insert(all.end(), group->parameters().begin(), group->parameters().end());
  }
  return all;
}

namespace {

// Backward of x + f(x): dx, then gradients of f's parameters.
std::vector<at::Tensor> ResidualGrads(Branch& branch, const BranchTape& tape, const UnitMask& mask,
                                      const at::Tensor& dy, bool input_needed) {
  const int64_t sequence = tape.context.sequence;
  const bool some = mask.kept == UnitMask::Kept::kSome;
  at::Tensor cotangent = some ? RowsOf(dy, dy.size(0) / sequence, mask.index) : dy.contiguous();
  if (mask.cotangent_scale != 1) cotangent = cotangent * mask.cotangent_scale;
  std::vector<at::Tensor> grads = branch.Backward(tape, cotangent, input_needed);
  if (!input_needed) return grads;
  if (some) {
    at::Tensor dx = dy.clone(at::MemoryFormat::Contiguous);
    dx.view({-1, sequence, dx.size(1)})
        .index_add_(0, mask.index, grads[0].view({-1, sequence, dx.size(1)}));
    grads[0] = dx;
  } else {
    grads[0].add_(dy);
  }
  return grads;
}

}  // namespace

at::Tensor ResidualUnit(Branch& branch, const at::Tensor& x, const ForwardContext& context,
                        const UnitMask& mask) {
  std::vector<at::Tensor> inputs = {x};
  for (at::Tensor& parameter : branch.parameters()) inputs.push_back(std::move(parameter));
  const bool record = mask.kept != UnitMask::Kept::kNone && AnyRequiresGrad(inputs);
  UnitRecord unit;
  at::Tensor value;
  {
    at::NoGradGuard no_grad;
    if (record) {
      value = unit.Forward(branch, x, context, mask).add_(x);
    } else {
      value = branch.Forward(x, context, nullptr);
    }
  }
  // Outside the guard, so that the residual path itself is recorded.
  if (!record) return value.add_(x);
  return Recorded(value, inputs,
                  [&branch, unit, mask](const at::Tensor& dy, const std::vector<bool>& needed) {
                    return ResidualGrads(branch, *unit.Tape(), mask, dy, needed[0]);
                  });
}

}  // namespace dropbp::trainer
