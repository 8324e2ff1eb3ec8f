#include "worker/trainer/model/decoder_walk.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "worker/trainer/model/decoder_ends.h"
#include "worker/trainer/model/token_loss.h"

namespace dropbp::trainer {

DecoderWalk::DecoderWalk(DecoderParts& parts, const at::Tensor& ids, const at::Tensor& targets,
                         double count, const ForwardContext& context)
    : parts_(parts),
      embedded_(Embed(parts, WithPrompt(parts, ids, /*padding=*/{}))),
      records_(parts.units.size()) {
  {
    at::NoGradGuard no_grad;
    at::Tensor x = embedded_.detach();
    for (size_t unit = 0; unit < parts.units.size(); ++unit) {
      x = records_[unit].Forward(*parts.units[unit], x, context, UnitMask()).add_(x);
    }
    top_ = x;
  }
  top_.set_requires_grad(true);
  // Nothing is to be predicted at virtual tokens.
  const at::Tensor all_targets = at::constant_pad_nd(targets, {PromptLength(parts), 0}, -100);
  loss_ = TokenLossSum(FinalNorm(parts, top_), all_targets.reshape({-1}), parts.head,
                       parts.config.logit_softcap) /
          count;
  for (size_t i = 0; i < parts.trainable.size(); ++i) {
    index_of_[parts.trainable[i].value.unsafeGetTensorImpl()] = i;
  }
}

void DecoderWalk::Add(const at::Tensor& leaf, const at::Tensor& gradient,
                      Gradients& gradients) const {
  if (!gradient.defined()) return;
  at::Tensor& sum = gradients[index_of_.at(leaf.unsafeGetTensorImpl())];
  // Out of place: what is there may be shared with other walks.
  sum = sum.defined() ? sum + gradient : gradient;
}

at::Tensor DecoderWalk::Top(Gradients& gradients) {
  std::vector<at::Tensor> inputs = {top_};
  for (const at::Tensor& leaf : {parts_.norm.leaf(), parts_.head.leaf()}) {
    if (leaf.defined()) inputs.push_back(leaf);
  }
  const auto grads = torch::autograd::grad({loss_}, inputs, /*grad_outputs=*/{},
                                           /*retain_graph=*/true);
  at::NoGradGuard no_grad;
  for (size_t i = 1; i < inputs.size(); ++i) Add(inputs[i], grads[i], gradients);
  return grads[0];
}

at::Tensor DecoderWalk::Through(int unit, const at::Tensor& dy, Gradients& gradients) {
  at::NoGradGuard no_grad;
  Branch& branch = *parts_.units[unit];
  const bool input_needed = unit > 0 || embedded_.requires_grad();
  std::vector<at::Tensor> grads = branch.Backward(*records_[unit].Tape(), dy, input_needed);
  const std::vector<at::Tensor> parameters = branch.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) Add(parameters[i], grads[1 + i], gradients);
  return input_needed ? grads[0].add_(dy) : at::Tensor();
}

void DecoderWalk::Bottom(const at::Tensor& dx, Gradients& gradients) {
  if (!embedded_.requires_grad()) return;
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& leaf : {parts_.embedding.leaf(), parts_.prompt}) {
    if (leaf.defined()) leaves.push_back(leaf);
  }
  const auto grads = torch::autograd::grad({embedded_}, leaves, {dx}, /*retain_graph=*/true);
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < leaves.size(); ++i) Add(leaves[i], grads[i], gradients);
}

}  // namespace dropbp::trainer
