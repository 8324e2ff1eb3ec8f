#include "worker/trainer/train/probe.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

namespace dropbp::trainer {
namespace {

// Adapter dropout is off while this lives.
class DropoutPause {
 public:
  explicit DropoutPause(Decoder& model) : model_(model) { model_.SetTraining(false); }
  ~DropoutPause() { model_.SetTraining(true); }
  DropoutPause(const DropoutPause&) = delete;
  DropoutPause& operator=(const DropoutPause&) = delete;

 private:
  Decoder& model_;
};

std::vector<at::Tensor> Leaves(const Decoder& model) {
  std::vector<at::Tensor> leaves;
  for (const TrainableParameter& parameter : model.trainable()) leaves.push_back(parameter.value);
  return leaves;
}

// Adds to `sums`; an undefined tensor counts as zero.
void Accumulate(const std::vector<at::Tensor>& gradients, std::vector<at::Tensor>& sums) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    sums[i] = sums[i].defined() ? sums[i].add_(gradients[i]) : gradients[i];
  }
}

std::vector<double> Norms(const std::vector<at::Tensor>& gradients) {
  std::vector<double> norms(gradients.size(), 0.0);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) norms[i] = at::linalg_vector_norm(gradients[i]).item<double>();
  }
  return norms;
}

// Gradients go to a list of their own, never to .grad.
std::vector<double> NormsUnder(Decoder& model, const StepBatch& batch, const MaskRow& keep) {
  const std::vector<at::Tensor> leaves = Leaves(model);
  std::vector<at::Tensor> sums(leaves.size());
  const auto count = static_cast<double>(std::max<int64_t>(1, batch.supervised_tokens));
  for (const MicroBatch& micro : batch.micro_batches) {
    const at::Tensor loss = model.LossSum(model.Forward(micro.ids, keep), micro.targets) / count;
    if (!loss.requires_grad()) continue;
    const auto gradients = torch::autograd::grad({loss}, leaves, /*grad_outputs=*/{},
                                                 /*retain_graph=*/false, /*create_graph=*/false,
                                                 /*allow_unused=*/true);
    at::NoGradGuard no_grad;
    Accumulate(gradients, sums);
  }
  at::NoGradGuard no_grad;
  return Norms(sums);
}

}  // namespace

ProbeNorms MeasureByDefinition(Decoder& model, const StepBatch& batch,
                               absl::Span<const int> units) {
  const DropoutPause pause(model);
  const auto all_units = static_cast<size_t>(2 * model.config().shape.layers);
  ProbeNorms norms;
  norms.base = NormsUnder(model, batch, MaskRow(all_units, true));
  for (int unit : units) {
    MaskRow keep(all_units, true);
    keep[unit] = false;
    norms.dropped.push_back(NormsUnder(model, batch, keep));
  }
  return norms;
}

}  // namespace dropbp::trainer
