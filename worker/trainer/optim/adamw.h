// AdamW (Loshchilov and Hutter, ICLR 2019) with torch's update, and with dropped parameters left
// alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/job/job_spec.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// Holds two moments and a step count for every parameter. A parameter whose gradient is undefined
// in a step keeps its value, its moments, its step count and gets no weight decay: its bias
// correction counts only the steps it took part in. The update itself is torch's fused AdamW
// kernel, which differs from torch::optim::AdamW in rounding only. Weight decay is for matrices:
// tensors of one dimension (norms, biases) have none. Not thread-safe.
class AdamW {
 public:
  // `parameters` must outlive the optimizer and keep their addresses.
  AdamW(const std::vector<TrainableParameter>& parameters, const TrainingSpec& spec);

  // Updates all parameters with a defined gradient, each at `learning_rate` times its own scale.
  // Throws what torch throws.
  void Step(double learning_rate);

  // Gives parameters without a gradient one of zeros, so that the next Step advances them too:
  // their moments decay, their step count grows, and they move by what their moments remember.
  void ZeroMissingGradients();

  // Makes all gradients undefined, so that a parameter that no backward reaches stays out of the
  // next step.
  void ClearGradients();

  // The state of parameter `index`, in the order of the parameters; for checkpoints and tests.
  struct State {
    at::Tensor first_moment;
    at::Tensor second_moment;
    at::Tensor step;  // fp32 scalar: updates made so far
  };
  const std::vector<State>& states() const { return states_; }

 private:
  struct Group;
  void UpdateGroup(const Group& group, double learning_rate, double weight_decay);

  const std::vector<TrainableParameter>& parameters_;
  double beta1_;
  double beta2_;
  double epsilon_;
  double weight_decay_;
  std::vector<State> states_;
};

}  // namespace dropbp::trainer
