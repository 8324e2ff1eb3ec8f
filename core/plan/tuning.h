// What a fine-tuning method trains, and what that costs.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/job/lora_targets.h"

namespace dropbp {

// Of one linear module with `in` inputs and `out` outputs. FLOPs are those of matrix products, by
// token.
struct ModuleTuning {
  bool full = false;
  int64_t rank = 0;            // of its low-rank adapter; 0: none
  bool output_factor = false;  // DoRA, (IA)^3
  bool input_factor = false;   // (IA)^3

  int64_t TrainableElements(int64_t in, int64_t out) const;  // without a bias
  int64_t ForwardFlops(int64_t in, int64_t out) const;
  // Of gradients of the input and of what is trained.
  int64_t BackwardFlops(int64_t in, int64_t out) const;
  // Elements by token that it keeps for its backward pass, besides input and output.
  int64_t KeptElements(int64_t out) const;
};

// Immutable.
class Tuning {
 public:
  // INVALID_ARGUMENT as LoraTargets::Make.
  static absl::StatusOr<Tuning> Make(const JobSpec& spec);

  // `module`: a path such as "model.layers.0.self_attn.q_proj".
  ModuleTuning Of(const std::string& module) const;

  bool full() const { return spec_.method == "full"; }
  // Whether base weights are in 4 bits, and bits by element then.
  bool quantized() const { return spec_.method == "qlora"; }
  double QuantizedBits() const;

  // Trained outside the units: beside adapters, or with everything else.
  bool trains_embedding() const;
  bool trains_head() const;
  // Positions that come on top of every sequence.
  int64_t virtual_tokens() const;

 private:
  Tuning(const JobSpec& spec, LoraTargets targets) : spec_(spec), targets_(std::move(targets)) {}

  JobSpec spec_;
  LoraTargets targets_;
};

}  // namespace dropbp
