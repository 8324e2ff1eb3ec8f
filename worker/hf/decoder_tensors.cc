#include "worker/hf/decoder_tensors.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dropbp::hf {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

void AddLinear(const std::string& name, int64_t out, int64_t in, bool bias, Shapes& shapes) {
  shapes[name + ".weight"] = {out, in};
  if (bias) shapes[name + ".bias"] = {out};
}

void AddLayer(const ModelConfig& config, int64_t layer, Shapes& shapes) {
  const ModelShape& model = config.shape;
  const std::string prefix = absl::StrCat("model.layers.", layer, ".");
  const int64_t hidden = model.hidden_size;
  const int64_t queries = model.attention_heads * model.head_dim;
  const int64_t keys = model.key_value_heads * model.head_dim;
  shapes[prefix + "input_layernorm.weight"] = {hidden};
  shapes[prefix + "post_attention_layernorm.weight"] = {hidden};
  AddLinear(prefix + "self_attn.q_proj", queries, hidden, config.attention_bias, shapes);
  AddLinear(prefix + "self_attn.k_proj", keys, hidden, config.attention_bias, shapes);
  AddLinear(prefix + "self_attn.v_proj", keys, hidden, config.attention_bias, shapes);
  AddLinear(prefix + "self_attn.o_proj", hidden, queries, config.attention_bias, shapes);
  AddLinear(prefix + "mlp.gate_proj", model.intermediate_size, hidden, config.mlp_bias, shapes);
  AddLinear(prefix + "mlp.up_proj", model.intermediate_size, hidden, config.mlp_bias, shapes);
  AddLinear(prefix + "mlp.down_proj", hidden, model.intermediate_size, config.mlp_bias, shapes);
}

bool IsFloatingPoint(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

// Old exports carry the rotary frequencies, which config.json determines; a tied head repeats the
// embedding.
bool IsIgnored(const std::string& name) {
  return name == "lm_head.weight" || absl::EndsWith(name, "rotary_emb.inv_freq");
}

absl::Status CheckTensor(const std::string& name, const std::vector<int64_t>& shape,
                         const ModelTensors& model) {
  const auto found = model.tensors.find(name);
  if (found == model.tensors.end())
    return absl::InvalidArgumentError(absl::StrCat("the weights lack the tensor ", name));
  if (!IsFloatingPoint(found->second.type)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is of no floating-point type; F32, F16 and BF16 are supported"));
  }
  if (found->second.shape != shape) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " has the shape [", absl::StrJoin(found->second.shape, ", "),
                     "], but config.json asks for [", absl::StrJoin(shape, ", "), "]"));
  }
  return absl::OkStatus();
}

}  // namespace

Shapes DecoderTensors(const ModelConfig& config) {
  Shapes shapes;
  shapes["model.embed_tokens.weight"] = {config.shape.vocab_size, config.shape.hidden_size};
  shapes["model.norm.weight"] = {config.shape.hidden_size};
  if (!config.shape.tied_embeddings) shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"];
  for (int64_t layer = 0; layer < config.shape.layers; ++layer) AddLayer(config, layer, shapes);
  return shapes;
}

absl::Status CheckDecoderTensors(const ModelConfig& config, const ModelTensors& model,
                                 const std::string& model_dir) {
  const Shapes needed = DecoderTensors(config);
  for (const auto& [name, shape] : needed)
    RETURN_IF_ERROR(Annotate(CheckTensor(name, shape, model), model_dir));
  for (const auto& [name, tensor] : model.tensors) {
    if (needed.contains(name) || IsIgnored(name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(model_dir, ": the weights hold ", name,
                     ", which the architecture in config.json has no place for"));
  }
  return absl::OkStatus();
}

}  // namespace dropbp::hf
