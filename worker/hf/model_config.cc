#include "worker/hf/model_config.h"

#include <cmath>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "worker/hf/config_fields.h"
#include "worker/hf/json.h"
#include "worker/hf/layer_windows.h"
#include "worker/hf/model_family.h"
#include "worker/hf/rope_reader.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr int64_t kMaxConfigBytes = 1 << 20;

// Null, with a failure left in `fields`, for a family or a class that is not supported.
const ModelFamily* ReadFamily(ConfigFields& fields) {
  const std::string type = fields.Text("model_type", "");
  const ModelFamily* family = FindModelFamily(type);
  if (family == nullptr) {
    fields.Fail(
        absl::StrCat("model_type is ", QuoteForError(type), "; supported: ", ModelTypeNames()));
    return nullptr;
  }
  if (const json* value = fields.Find("architectures")) {
    if (*value != json::array({family->architecture}))
      fields.Fail("architectures", *value, family->architecture);
  }
  return family;
}

void RefuseWhatWouldChangeTheResult(ConfigFields& fields) {
  for (const char* dropout : {"attention_dropout", "resid_pdrop", "embd_pdrop"})
    fields.Only(dropout, 0.0);
  fields.Only("use_bidirectional_attention", false);
  fields.Absent("quantization_config", "none (weights in fp32, fp16 or bf16)");
}

// Where config.json leaves a field out, what transformers' class of the model type gives it.
ModelShape ReadShape(const ModelFamily& family, ConfigFields& fields) {
  ModelShape shape;
  shape.model_type = family.model_type;
  shape.layers = fields.NeededInt("num_hidden_layers", 4096);
  shape.hidden_size = fields.NeededInt("hidden_size", 1 << 20);
  shape.intermediate_size = fields.NeededInt("intermediate_size", 1 << 24);
  shape.attention_heads = fields.NeededInt("num_attention_heads", 1 << 16);
  shape.vocab_size = fields.NeededInt("vocab_size", 1 << 24);
  const bool heads_of_class = family.key_value_heads > 0 && !fields.Has("num_key_value_heads");
  shape.key_value_heads =
      fields.Int("num_key_value_heads",
                 heads_of_class ? family.key_value_heads : shape.attention_heads, 1, 1 << 16);
  const int64_t divided = shape.hidden_size / shape.attention_heads;
  shape.head_dim =
      fields.Int("head_dim", family.head_dim > 0 ? family.head_dim : divided, 1, 1 << 16);
  shape.tied_embeddings = fields.Bool("tie_word_embeddings", family.tied_embeddings);
  if (shape.attention_heads % shape.key_value_heads != 0) {
    fields.Fail(absl::StrCat("num_attention_heads ", shape.attention_heads,
                             " is not a multiple of num_key_value_heads ", shape.key_value_heads));
  }
  if (family.head_dim == 0 && fields.Find("head_dim") == nullptr &&
      shape.hidden_size % shape.attention_heads != 0) {
    fields.Fail(absl::StrCat("hidden_size ", shape.hidden_size,
                             " is not a multiple of num_attention_heads ", shape.attention_heads));
  }
  if (shape.head_dim % 2 != 0)
    fields.Fail(absl::StrCat("head_dim is ", shape.head_dim, "; supported: even numbers"));
  return shape;
}

void ReadBlocks(const ModelFamily& family, ConfigFields& fields, ModelShape& shape) {
  const bool attention_bias = family.reads_attention_bias && fields.Bool("attention_bias", false);
  shape.fused_projections = family.fused_projections;
  shape.qkv_bias = family.qkv_bias || attention_bias;
  shape.attention_output_bias = attention_bias;
  shape.mlp_bias = family.reads_mlp_bias && fields.Bool("mlp_bias", false);
  shape.query_key_norms = family.query_key_norms;
  shape.post_norms = family.gemma;
  shape.windows = ReadWindows(family, shape.layers, fields);
}

Activation ReadActivation(const ModelFamily& family, ConfigFields& fields) {
  const char* name = family.gemma ? "hidden_activation" : "hidden_act";
  const std::string activation = fields.Text(name, family.gemma ? "gelu_pytorch_tanh" : "silu");
  if (activation == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (activation != "silu") fields.Fail(name, json(activation), "silu, gelu_pytorch_tanh");
  return Activation::kSilu;
}

// A cap of 0 stands for none, as null does in the file.
double ReadSoftcap(const char* name, double if_missing, ConfigFields& fields) {
  return fields.Positive(name, fields.Has(name) ? 0 : if_missing);
}

void ReadGemmaFields(const ModelFamily& family, ConfigFields& fields, ModelConfig& config) {
  config.unit_offset_norms = true;
  config.scaled_embeddings = true;
  config.attention_scale = 1 / std::sqrt(fields.Positive("query_pre_attn_scalar", 256));
  config.logit_softcap = ReadSoftcap("final_logit_softcapping", family.logit_softcap, fields);
  if (family.reads_attention_softcap) {
    config.attention_softcap =
        ReadSoftcap("attn_logit_softcapping", family.attention_softcap, fields);
  } else {
    fields.Absent("attn_logit_softcapping", "null");
  }
}

// Layers with a window turn by the second set of angles, if there is one.
std::vector<int> RopeOfLayers(const ModelFamily& family, const ModelConfig& config,
                              ConfigFields& fields) {
  const ModelShape& shape = config.shape;
  const std::vector<bool> rotated = ReadRotatedLayers(family, shape.layers, fields);
  std::vector<int> ropes(shape.layers);
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    if (config.ropes.size() > 1 && shape.Window(layer) > 0) ropes[layer] = 1;
    if (!rotated.empty() && !rotated[layer]) ropes[layer] = -1;
  }
  return ropes;
}

// A token id: -1 for null, which old files write themselves.
int64_t ReadTokenId(ConfigFields& fields, const char* name, int64_t if_missing,
                    int64_t vocab_size) {
  const bool none = fields.Has(name) || if_missing >= vocab_size;
  return fields.Int(name, none ? -1 : if_missing, -1, vocab_size - 1);
}

std::vector<int64_t> ReadEosIds(ConfigFields& fields, std::vector<int64_t> if_missing,
                                int64_t vocab_size) {
  if (!fields.Has("eos_token_id")) return if_missing;
  const json* value = fields.Find("eos_token_id");
  if (value == nullptr) return {};
  const json list = value->is_array() ? *value : json::array({*value});
  std::vector<int64_t> ids;
  for (const json& id : list) {
    if (!id.is_number_integer() || id < 0 || id >= vocab_size || ids.size() == 64) {
      fields.Fail("eos_token_id", *value,
                  "an id below vocab_size, or a list of at most 64 of them");
      return {};
    }
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

absl::StatusOr<json> ParseObject(std::string_view text) {
  ASSIGN_OR_RETURN(json object, ParseJson(text));
  if (!object.is_object())
    return absl::InvalidArgumentError(
        absl::StrCat("found ", DescribeJson(object), ", legal is an object"));
  return object;
}

absl::StatusOr<ModelConfig> ConfigFromJson(std::string_view text) {
  ASSIGN_OR_RETURN(const json object, ParseObject(text));
  ConfigFields fields(object);
  const ModelFamily* family = ReadFamily(fields);
  RETURN_IF_ERROR(
      fields.status());  // Without its architecture known, no other field has a meaning.
  RefuseWhatWouldChangeTheResult(fields);
  ModelConfig config;
  config.shape = ReadShape(*family, fields);
  RETURN_IF_ERROR(fields.status());  // What follows divides by them and counts up to them.
  ReadBlocks(*family, fields, config.shape);
  config.activation = ReadActivation(*family, fields);
  config.rms_norm_eps = fields.Positive("rms_norm_eps", family->rms_norm_eps);
  config.max_position_embeddings =
      fields.Int("max_position_embeddings", family->max_position_embeddings, 1, int64_t{1} << 32);
  config.ropes = ReadRopes(*family, config.shape.head_dim, config.max_position_embeddings, fields);
  config.rope_of_layer = RopeOfLayers(*family, config, fields);
  if (family->gemma) ReadGemmaFields(*family, fields, config);
  const int64_t vocabulary = config.shape.vocab_size;
  config.eos_token_ids = ReadEosIds(fields, family->eos_token_ids, vocabulary);
  config.bos_token_id = ReadTokenId(fields, "bos_token_id", family->bos_token_id, vocabulary);
  config.pad_token_id = ReadTokenId(fields, "pad_token_id", family->pad_token_id, vocabulary);
  config.dtype = fields.Text("dtype", fields.Text("torch_dtype", ""));
  RETURN_IF_ERROR(fields.status());
  return config;
}

// generation_config.json knows more end tokens than config.json in many chat models, so its list
// wins.
absl::Status ApplyGenerationConfig(std::string_view text, ModelConfig& config) {
  ASSIGN_OR_RETURN(const json object, ParseObject(text));
  ConfigFields fields(object);
  std::vector<int64_t> ids = ReadEosIds(fields, {}, config.shape.vocab_size);
  if (!ids.empty()) config.eos_token_ids = std::move(ids);
  return fields.status();
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view json, std::string_view source) {
  absl::StatusOr<ModelConfig> config = ConfigFromJson(json);
  if (!config.ok()) return Annotate(config.status(), source);
  return config;
}

absl::StatusOr<ModelConfig> ReadModelConfig(const std::string& model_dir) {
  const std::string path = model_dir + "/config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  ASSIGN_OR_RETURN(ModelConfig config, ParseModelConfig(text, path));
  const std::string generation = model_dir + "/generation_config.json";
  std::error_code ignored;
  if (std::filesystem::exists(generation, ignored)) {
    ASSIGN_OR_RETURN(const std::string more, ReadFile(generation, kMaxConfigBytes));
    RETURN_IF_ERROR(Annotate(ApplyGenerationConfig(more, config), generation));
  }
  return config;
}

}  // namespace dropbp::hf
