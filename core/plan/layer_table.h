// The droppable units of a model and what their backward passes cost.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp {

// Shapes of a decoder, from its config.json.
struct ModelShape {
  std::string model_type = {};
  int64_t layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t attention_heads = 0;
  int64_t key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  bool tied_embeddings = false;
};

enum class UnitKind { kAttention = 1, kMlp = 2 };

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
  int64_t fixed_trainable_elements = 0;  // of what is never dropped: embedding, head, final norm

  int64_t TrainableElements() const;  // of units and of what is never dropped

  int64_t TotalBackwardFlops() const;  // of all units, per token
};

// The seven linear modules of a decoder block, by their Hugging Face names.
inline constexpr const char* kLinearModules[] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                 "gate_proj", "up_proj", "down_proj"};

// Builds the table. LoRA: input gradients through frozen weights plus both gradients of the
// adapters. Full: input and weight gradients. Attention's scores and mix cost 4 * sequence_length *
// heads * head_dim forward per token (no causal saving counted) and twice that backward.
// INVALID_ARGUMENT for a target module that is no linear module.
absl::StatusOr<LayerTable> BuildLayerTable(const ModelShape& shape, const JobSpec& spec,
                                           int64_t sequence_length);

}  // namespace dropbp
