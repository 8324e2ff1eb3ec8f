#include "worker/hf/model_family.h"

#include "absl/strings/str_join.h"

namespace dropbp::hf {
namespace {

ModelFamily Llama() {
  return {.model_type = "llama",
          .architecture = "LlamaForCausalLM",
          .reads_mlp_bias = true,
          .bos_token_id = 1,
          .eos_token_ids = {2}};
}

ModelFamily Mistral() {
  return {.model_type = "mistral",
          .architecture = "MistralForCausalLM",
          .windows = WindowRule::kEveryLayer,
          .reads_attention_bias = false,
          .key_value_heads = 8,
          .max_position_embeddings = 131072,
          .sliding_window = 4096,
          .bos_token_id = 1,
          .eos_token_ids = {2}};
}

ModelFamily Qwen2() {
  return {.model_type = "qwen2",
          .architecture = "Qwen2ForCausalLM",
          .qkv_bias = true,
          .windows = WindowRule::kUpperLayers,
          .reads_attention_bias = false,
          .key_value_heads = 32,
          .max_position_embeddings = 32768,
          .sliding_window = 4096};
}

ModelFamily Qwen3() {
  return {.model_type = "qwen3",
          .architecture = "Qwen3ForCausalLM",
          .query_key_norms = true,
          .windows = WindowRule::kUpperLayers,
          .key_value_heads = 32,
          .head_dim = 128,
          .max_position_embeddings = 32768,
          .sliding_window = 4096};
}

ModelFamily SmolLm3() {
  return {.model_type = "smollm3",
          .architecture = "SmolLM3ForCausalLM",
          .windows = WindowRule::kLayersWithoutRope,
          .reads_mlp_bias = true,
          .key_value_heads = 4,
          .rope_theta = 2000000,
          .max_position_embeddings = 32768,
          .tied_embeddings = true,
          .bos_token_id = 128000,
          .pad_token_id = 128004,
          .eos_token_ids = {128001}};
}

ModelFamily Gemma2() {
  return {.model_type = "gemma2",
          .architecture = "Gemma2ForCausalLM",
          .gemma = true,
          .windows = WindowRule::kPattern,
          .window_pattern = 2,
          .reads_attention_softcap = true,
          .key_value_heads = 4,
          .head_dim = 256,
          .max_position_embeddings = 8192,
          .sliding_window = 4096,
          .attention_softcap = 50,
          .logit_softcap = 30,
          .tied_embeddings = true,
          .bos_token_id = 2,
          .pad_token_id = 0,
          .eos_token_ids = {1}};
}

ModelFamily Gemma3() {
  ModelFamily family = Gemma2();
  family.model_type = "gemma3_text";
  family.architecture = "Gemma3ForCausalLM";
  family.query_key_norms = true;
  family.rope_by_layer_type = true;
  family.window_pattern = 6;
  family.reads_window_pattern = true;
  family.reads_attention_softcap = false;
  family.rope_theta = 1000000;
  family.max_position_embeddings = 131072;
  family.attention_softcap = 0;
  family.logit_softcap = 0;
  return family;
}

ModelFamily Phi3() {
  return {.model_type = "phi3",
          .architecture = "Phi3ForCausalLM",
          .fused_projections = true,
          .partial_rotary = true,
          .windows = WindowRule::kEveryLayer,
          .reads_attention_bias = false,
          .rms_norm_eps = 1e-5,
          .max_position_embeddings = 4096,
          .original_max_position_embeddings = 4096,
          .bos_token_id = 1,
          .pad_token_id = 32000,
          .eos_token_ids = {32000}};
}

const std::vector<ModelFamily>& Families() {
  static const auto* families = new std::vector<ModelFamily>{
      Llama(), Mistral(), Qwen2(), Qwen3(), SmolLm3(), Gemma2(), Gemma3(), Phi3()};
  return *families;
}

}  // namespace

const ModelFamily* FindModelFamily(std::string_view model_type) {
  for (const ModelFamily& family : Families()) {
    if (family.model_type == model_type) return &family;
  }
  return nullptr;
}

std::string ModelTypeNames() {
  return absl::StrJoin(Families(), ", ", [](std::string* out, const ModelFamily& family) {
    *out += family.model_type;
  });
}

}  // namespace dropbp::hf
