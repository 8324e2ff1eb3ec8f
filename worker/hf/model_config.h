// config.json of a Hugging Face model folder (transformers 4 and 5 keys), as far as a
// Llama-architecture decoder needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/plan/layer_table.h"

namespace dropbp::hf {

struct ModelConfig {
  ModelShape shape;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  int64_t max_position_embeddings = 2048;
  bool attention_bias = false;
  bool mlp_bias = false;
  std::vector<int64_t> eos_token_ids;
  int64_t bos_token_id = -1;  // -1: none
  int64_t pad_token_id = -1;
  std::string dtype;  // dtype / torch_dtype as written, for example "bfloat16"; may be empty
};

// Parses the text of a config.json. A field that would change the result and is not supported
// (another architecture, rope scaling, an activation other than silu, ...) is INVALID_ARGUMENT that
// names it, its value and what is supported.
absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json, std::string_view source);

// Reads <model_dir>/config.json (at most 1 MiB) and, where present, generation_config.json for eos
// ids.
absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& model_dir);

}  // namespace dropbp::hf
