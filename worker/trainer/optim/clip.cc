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

double GlobalGradientNorm(const std::vector<TrainableParameter>& parameters) {
  at::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = DefinedGradients(parameters);
  if (gradients.empty()) return 0;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2))).item<double>();
}

void ClipGradients(const std::vector<TrainableParameter>& parameters, double norm,
                   double max_norm) {
  if (max_norm <= 0) return;
  const double scale = max_norm / (norm + 1e-6);
  if (scale >= 1) return;
  at::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = DefinedGradients(parameters);
  at::_foreach_mul_(gradients, scale);
}

}  // namespace dropbp::trainer
