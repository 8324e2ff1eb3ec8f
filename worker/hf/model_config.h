// config.json of a Hugging Face model folder (transformers 4 and 5 keys): one decoder, and how
// families differ from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/plan/model_shape.h"
#include "worker/hf/rope_config.h"

namespace dropbp::hf {

// What the gate of an MLP goes through.
enum class Activation { kSilu, kGeluTanh };

// Unset fields describe Llama.
struct ModelConfig {
  ModelShape shape;
  double rms_norm_eps = 1e-6;
  bool unit_offset_norms = false;  // weights of norms count as 1 + w
  Activation activation = Activation::kSilu;
  double attention_scale = 0;      // of scores; 0: head_dim^-1/2
  double attention_softcap = 0;    // scores s become cap * tanh(s / cap); 0: they do not
  double logit_softcap = 0;        // likewise logits
  bool scaled_embeddings = false;  // times sqrt(hidden_size), rounded to the compute dtype
  std::vector<RopeConfig> ropes = {RopeConfig{}};
  std::vector<int> rope_of_layer = {};  // index into ropes, -1: not rotated; empty: 0 everywhere
  int64_t max_position_embeddings = 2048;
  std::vector<int64_t> eos_token_ids;
  int64_t bos_token_id = -1;  // -1: none
  int64_t pad_token_id = -1;
  std::string dtype;  // dtype / torch_dtype as written, for example "bfloat16"; may be empty

  int RopeOf(int64_t layer) const { return rope_of_layer.empty() ? 0 : rope_of_layer[layer]; }
};

// Parses the text of a config.json. An unknown model_type, and a field that would change the result
// and is not supported, is INVALID_ARGUMENT that names it, its value and what is supported.
absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json, std::string_view source);

// Reads <model_dir>/config.json (at most 1 MiB) and, where present, generation_config.json for eos
// ids.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& model_dir);

}  // namespace dropbp::hf
