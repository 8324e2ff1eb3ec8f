// The droppable units of a model and what their backward passes cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/model_shape.h"

namespace dropbp {

// One residual branch of one decoder block, its norm included.
struct Unit {
  int64_t layer = 0;
  UnitKind kind = UnitKind::kAttention;
  int64_t forward_flops = 0;   // matmul FLOPs per token, forward
  int64_t backward_flops = 0;  // F_u: matmul FLOPs per token, backward
  int64_t trainable_elements = 0;
  int stratum = 0;  // units of equal kind and cost share a stratum
};

// Units in order attention 0, MLP 0, attention 1, ...; plus what is never dropped.
struct LayerTable {
  std::vector<Unit> units;
  int strata = 0;
  int64_t head_forward_flops = 0;        // per supervised token
  int64_t head_backward_flops = 0;       // per supervised token
  int64_t fixed_trainable_elements = 0;  // of what is never dropped: embedding, head, final
                                         // norm, virtual tokens

  int64_t TrainableElements() const;  // of units and of what is never dropped

  int64_t TotalBackwardFlops() const;  // of all units, per token
};

// Builds the table. LoRA, in 4 bits or not: input gradients through frozen weights plus both
// gradients of the adapters. (IA)^3 and prompt tuning: input gradients. Full: input and weight
// gradients. Attention's scores and mix cost 4 * keys * heads * head_dim forward per token and
// twice that backward, where keys is the sequence length, or the layer's window if that is shorter
// (no causal saving counted). INVALID_ARGUMENT for a target module that is no linear module of this
// model.
absl::StatusOr<LayerTable> BuildLayerTable(const ModelShape& shape, const JobSpec& spec,
                                           int64_t sequence_length);

}  // namespace dropbp
