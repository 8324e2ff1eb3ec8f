#include "worker/hf/decoder_tensors.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dropbp::hf {
namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

void AddUnit(const ModelShape& model, UnitKind kind, const std::string& layer, Shapes& shapes) {
  const UnitShape unit = ShapeOfUnit(model, kind);
  shapes[absl::StrCat(layer, unit.norm, ".weight")] = {model.hidden_size};
  if (!unit.post_norm.empty())
    shapes[absl::StrCat(layer, unit.post_norm, ".weight")] = {model.hidden_size};
  for (const LinearShape& linear : unit.Linears()) {
    const std::string name = absl::StrCat(layer, unit.block, ".", linear.name);
    shapes[name + ".weight"] = {linear.out, linear.in};
    if (linear.bias) shapes[name + ".bias"] = {linear.out};
  }
}

void AddLayer(const ModelShape& model, int64_t index, Shapes& shapes) {
  const std::string layer = absl::StrCat("model.layers.", index, ".");
  AddUnit(model, UnitKind::kAttention, layer, shapes);
  AddUnit(model, UnitKind::kMlp, layer, shapes);
  if (!model.query_key_norms) return;
  for (const char* name : {"q_norm", "k_norm"})
    shapes[absl::StrCat(layer, "self_attn.", name, ".weight")] = {model.head_dim};
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
  for (int64_t layer = 0; layer < config.shape.layers; ++layer)
    AddLayer(config.shape, layer, shapes);
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
