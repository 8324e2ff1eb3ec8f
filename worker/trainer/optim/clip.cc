#include "worker/trainer/optim/clip.h"

#include <ATen/ATen.h>

namespace dropbp::trainer {
namespace {

std::vector<at::Tensor> DefinedGradients(const std::vector<TrainableParameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const TrainableParameter& parameter : parameters) {
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  }
  return gradients;
}

}  // namespace

at::Tensor GlobalGradientNorm(const std::vector<TrainableParameter>& parameters) {
  at::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = DefinedGradients(parameters);
  if (gradients.empty()) return at::zeros({});
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2)));
}

void ClipGradients(const std::vector<TrainableParameter>& parameters, const at::Tensor& norm,
                   double max_norm) {
  at::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = DefinedGradients(parameters);
  if (max_norm <= 0 || gradients.empty()) return;
  at::_foreach_mul_(gradients, at::clamp_max(max_norm / (norm + 1e-6), 1.0));
}

}  // namespace dropbp::trainer
