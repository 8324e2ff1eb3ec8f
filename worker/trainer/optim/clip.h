// One gradient norm over the whole live model, and clipping by it.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// L2 norm of all defined gradients together, an fp32 scalar on their device; 0 if there are none.
// Throws what torch throws.
at::Tensor GlobalGradientNorm(const std::vector<TrainableParameter>& parameters);

// Scales all defined gradients by min(1, max_norm / (norm + 1e-6)): the bits of torch's
// clip_grad_norm_. `max_norm` 0 means no clipping.
void ClipGradients(const std::vector<TrainableParameter>& parameters, const at::Tensor& norm,
                   double max_norm);

}  // namespace dropbp::trainer
