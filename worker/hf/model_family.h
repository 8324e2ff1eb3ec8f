// The families of decoders that can be read: how transformers' configuration and model classes of
// each differ.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dropbp::hf {

// Which layers attend within a sliding window, where config.json has no layer_types.
enum class WindowRule {
  kNever,
  kEveryLayer,         // all, if sliding_window is a number
  kUpperLayers,        // those from max_window_layers on, if use_sliding_window
  kPattern,            // all but each window_pattern-th
  kLayersWithoutRope,  // those that no_rope_layers leaves unrotated, if use_sliding_window
};

// One row of the table. Unset fields describe Llama.
struct ModelFamily {
  const char* model_type = "";
  const char* architecture = "";  // the class of the causal language model

  // What the model's class does, whatever config.json says.
  bool fused_projections = false;
  bool qkv_bias = false;
  bool query_key_norms = false;
  bool gemma = false;  // post-norms, weights of norms count as 1 + w, embeddings scaled
  bool partial_rotary = false;
  bool rope_by_layer_type = false;  // windowed layers turn by a theta of their own
  WindowRule windows = WindowRule::kNever;
  int64_t window_pattern = 0;

  // Which optional fields of config.json it reads.
  bool reads_attention_bias = true;
  bool reads_mlp_bias = false;
  bool reads_window_pattern = false;
  bool reads_attention_softcap = false;

  // Values of fields that config.json leaves out.
  int64_t key_value_heads = 0;  // 0: as many as attention heads
  int64_t head_dim = 0;         // 0: hidden_size / attention heads
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  int64_t max_position_embeddings = 2048;
  int64_t original_max_position_embeddings = 0;  // 0: max_position_embeddings
  int64_t sliding_window = 0;                    // 0: null
  double attention_softcap = 0;                  // 0: null
  double logit_softcap = 0;
  bool tied_embeddings = false;
  int64_t bos_token_id = -1;  // -1: null
  int64_t pad_token_id = -1;
  std::vector<int64_t> eos_token_ids = {};
};

// Null for an unknown type.
const ModelFamily* FindModelFamily(std::string_view model_type);

// All model types, for an error message: "llama, mistral, ...".
std::string ModelTypeNames();

}  // namespace dropbp::hf
