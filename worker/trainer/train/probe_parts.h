// What the measures of the probe share.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// Adapter dropout is off while this lives.
class DropoutPause {
 public:
  explicit DropoutPause(Decoder& model) : model_(model), was_training_(model.training()) {
    model_.SetTraining(false);
  }
  ~DropoutPause() { model_.SetTraining(was_training_); }
  DropoutPause(const DropoutPause&) = delete;
  DropoutPause& operator=(const DropoutPause&) = delete;

 private:
  Decoder& model_;
  bool was_training_;
};

// Adds the gradients of a micro-batch to `sums`; an undefined tensor counts as zero. The gradients'
// own memory is left as it is.
void Accumulate(const std::vector<at::Tensor>& gradients, std::vector<at::Tensor>& sums);

// 0 for an undefined tensor.
std::vector<double> Norms(const std::vector<at::Tensor>& gradients);

}  // namespace dropbp::trainer
