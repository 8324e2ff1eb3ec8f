#include "worker/trainer/optim/adamw.h"

#include <ATen/ATen.h>

#include <map>
#include <utility>

namespace dropbp::trainer {

// Tensors of one fused update, position by position.
struct AdamW::Group {
  std::vector<at::Tensor> values;
  std::vector<at::Tensor> gradients;
  std::vector<at::Tensor> first_moments;
  std::vector<at::Tensor> second_moments;
  std::vector<at::Tensor> steps;

  void Add(const at::Tensor& value, const State& state) {
    values.push_back(value);
    gradients.push_back(value.grad());
    first_moments.push_back(state.first_moment);
    second_moments.push_back(state.second_moment);
    steps.push_back(state.step);
  }
};

AdamW::AdamW(const std::vector<TrainableParameter>& parameters, const TrainingSpec& spec)
    : parameters_(parameters),
      beta1_(spec.beta1),
      beta2_(spec.beta2),
      epsilon_(spec.epsilon),
      weight_decay_(spec.weight_decay) {
  at::NoGradGuard no_grad;
  states_.reserve(parameters.size());
  for (const TrainableParameter& parameter : parameters) {
    const auto options = parameter.value.options().requires_grad(false);
    states_.push_back({at::zeros(parameter.value.sizes(), options),
                       at::zeros(parameter.value.sizes(), options), at::zeros({}, options)});
  }
}

void AdamW::Step(double learning_rate) {
  at::NoGradGuard no_grad;
  // By learning rate and by whether weights decay.
  std::map<std::pair<double, bool>, Group> groups;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const TrainableParameter& parameter = parameters_[i];
    if (!parameter.value.grad().defined()) continue;
    groups[{parameter.learning_rate_scale, parameter.value.dim() >= 2}].Add(parameter.value,
                                                                            states_[i]);
  }
  for (const auto& [kind, group] : groups) {
    UpdateGroup(group, learning_rate * kind.first, kind.second ? weight_decay_ : 0);
  }
}

void AdamW::UpdateGroup(const Group& group, double learning_rate, double weight_decay) {
  at::_foreach_add_(group.steps, 1);
  at::_fused_adamw_(group.values, group.gradients, group.first_moments, group.second_moments,
                    /*max_exp_avg_sqs=*/{}, group.steps, learning_rate, beta1_, beta2_,
                    weight_decay, epsilon_, /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::ZeroMissingGradients() {
  for (const TrainableParameter& parameter : parameters_) {
    at::Tensor value = parameter.value;
    if (!value.grad().defined()) value.mutable_grad() = at::zeros_like(value.detach());
  }
}

void AdamW::ClearGradients() {
  for (const TrainableParameter& parameter : parameters_) {
    at::Tensor value = parameter.value;
    value.mutable_grad() = at::Tensor();
  }
}

}  // namespace dropbp::trainer
