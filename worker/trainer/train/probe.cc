#include "worker/trainer/train/probe.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "worker/trainer/train/probe_parts.h"

namespace dropbp::trainer {
namespace {

std::vector<at::Tensor> Leaves(const Decoder& model) {
  std::vector<at::Tensor> leaves;
  for (const TrainableParameter& parameter : model.trainable()) leaves.push_back(parameter.value);
  return leaves;
}

// Gradients go to a list of their own, never to .grad.
std::vector<double> NormsUnder(Decoder& model, const StepBatch& batch, const MaskRow& keep) {
  const std::vector<at::Tensor> leaves = Leaves(model);
  std::vector<at::Tensor> sums(leaves.size());
  const auto count = static_cast<double>(std::max<int64_t>(1, batch.supervised_tokens));
  for (const MicroBatch& micro : batch.micro_batches) {
    const at::Tensor loss =
        model.LossSum(model.Forward(micro.tokens(), keep), micro.targets) / count;
    if (!loss.requires_grad()) continue;
    const auto gradients = torch::autograd::grad({loss}, leaves, /*grad_outputs=*/{},
                                                 /*retain_graph=*/false, /*create_graph=*/false,
                                                 /*allow_unused=*/true);
    Accumulate(gradients, sums);
  }
  return Norms(sums);
}

}  // namespace

void Accumulate(const std::vector<at::Tensor>& gradients, std::vector<at::Tensor>& sums) {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    sums[i] = sums[i].defined() ? sums[i] + gradients[i] : gradients[i];
  }
}

std::vector<double> Norms(const std::vector<at::Tensor>& gradients) {
  at::NoGradGuard no_grad;
  std::vector<double> norms(gradients.size(), 0.0);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].defined()) norms[i] = at::linalg_vector_norm(gradients[i]).item<double>();
  }
  return norms;
}

ProbeNorms MeasureByDefinition(Decoder& model, const StepBatch& batch,
                               absl::Span<const int> units) {
  const DropoutPause pause(model);
  const auto all_units = static_cast<size_t>(2 * model.config().shape.layers);
  const auto passes = static_cast<int64_t>(batch.micro_batches.size() * (1 + units.size()));
  ProbeNorms norms;
  norms.unit_forwards = passes * static_cast<int64_t>(all_units);
  norms.unit_backwards =
      norms.unit_forwards - static_cast<int64_t>(batch.micro_batches.size() * units.size());
  norms.base = NormsUnder(model, batch, MaskRow(all_units, true));
  for (int unit : units) {
    MaskRow keep(all_units, true);
    keep[unit] = false;
    norms.dropped.push_back(NormsUnder(model, batch, keep));
  }
  return norms;
}

}  // namespace dropbp::trainer
