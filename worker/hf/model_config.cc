#include "worker/hf/model_config.h"

#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "worker/hf/json.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr int64_t kMaxConfigBytes = 1 << 20;

// Reads fields of one object and keeps the first rule that a field breaks; so the calling code is a
// plain list.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object) {}

  // The field's value; nullptr if it is missing or null.
  const json* Find(const char* name) const {
    const auto field = object_.find(name);
    return field == object_.end() || field->is_null() ? nullptr : &*field;
  }

  bool Has(const char* name) const { return object_.contains(name); }

  int64_t Int(const char* name, int64_t fallback, int64_t min, int64_t max) {
    const json* value = Find(name);
    if (value == nullptr) return fallback;
    if (value->is_number_integer() && InRange(*value, min, max)) return value->get<int64_t>();
    Fail(name, *value, absl::StrCat("a whole number from ", min, " to ", max));
    return fallback;
  }

  int64_t NeededInt(const char* name, int64_t max) {
    if (Find(name) == nullptr) Fail(absl::StrCat(name, " is missing"));
    return Int(name, 1, 1, max);
  }

  double Positive(const char* name, double fallback) {
    const json* value = Find(name);
    if (value == nullptr) return fallback;
    if (value->is_number() && value->get<double>() > 0) return value->get<double>();
    Fail(name, *value, "a number above 0");
    return fallback;
  }

  bool Bool(const char* name, bool fallback) {
    const json* value = Find(name);
    if (value == nullptr) return fallback;
    if (value->is_boolean()) return value->get<bool>();
    Fail(name, *value, "true or false");
    return fallback;
  }

  std::string Text(const char* name, std::string fallback) {
    const json* value = Find(name);
    if (value == nullptr) return fallback;
    if (value->is_string()) return value->get<std::string>();
    Fail(name, *value, "a string");
    return fallback;
  }

  // A field that must have one value, or be missing or null.
  void Only(const char* name, const json& supported) {
    const json* value = Find(name);
    if (value != nullptr && *value != supported) Fail(name, *value, supported.dump());
  }

  void Fail(std::string what) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(std::move(what));
  }
  void Fail(const std::string& name, const json& found, const std::string& supported) {
    Fail(absl::StrCat(name, " is ", DescribeJson(found), "; supported: ", supported));
  }

  const absl::Status& status() const { return status_; }

 private:
  static bool InRange(const json& value, int64_t min, int64_t max) {
    if (value.is_number_unsigned() &&
        value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return false;
    }
    return value.get<int64_t>() >= min && value.get<int64_t>() <= max;
  }

  const json& object_;
  absl::Status status_;
};

void CheckArchitecture(Fields& fields) {
  const std::string type = fields.Text("model_type", "");
  if (type != "llama" && type != "mistral") {
    fields.Fail(absl::StrCat("model_type is ", QuoteForError(type),
                             "; supported: llama, and mistral without a sliding window"));
  }
  if (const json* value = fields.Find("architectures")) {
    const char* causal = type == "mistral" ? "MistralForCausalLM" : "LlamaForCausalLM";
    if (*value != json::array({causal})) fields.Fail("architectures", *value, causal);
  }
  fields.Only("hidden_act", "silu");
  fields.Only("attention_dropout", 0.0);
  if (const json* window = fields.Find("sliding_window")) {
    fields.Fail("sliding_window", *window, "null");
  } else if (type == "mistral" && !fields.Has("sliding_window")) {
    fields.Fail("sliding_window is missing, which means 4096; supported: null");
  }
  if (const json* quantised = fields.Find("quantization_config")) {
    fields.Fail("quantization_config", *quantised, "none (weights in fp32, fp16 or bf16)");
  }
}

ModelShape ReadShape(Fields& fields) {
  ModelShape shape;
  shape.model_type = fields.Text("model_type", "");
  shape.layers = fields.NeededInt("num_hidden_layers", 4096);
  shape.hidden_size = fields.NeededInt("hidden_size", 1 << 20);
  shape.intermediate_size = fields.NeededInt("intermediate_size", 1 << 24);
  shape.attention_heads = fields.NeededInt("num_attention_heads", 1 << 16);
  shape.vocab_size = fields.NeededInt("vocab_size", 1 << 24);
  // A missing field means what transformers' class of the model type gives it.
  const int64_t key_value_default = shape.model_type == "mistral" ? 8 : shape.attention_heads;
  shape.key_value_heads = fields.Int("num_key_value_heads", key_value_default, 1, 1 << 16);
  shape.head_dim = fields.Int("head_dim", shape.hidden_size / shape.attention_heads, 1, 1 << 16);
  shape.tied_embeddings = fields.Bool("tie_word_embeddings", false);
  if (shape.attention_heads % shape.key_value_heads != 0) {
    fields.Fail(absl::StrCat("num_attention_heads ", shape.attention_heads,
                             " is not a multiple of num_key_value_heads ", shape.key_value_heads));
  }
  if (fields.Find("head_dim") == nullptr && shape.hidden_size % shape.attention_heads != 0) {
    fields.Fail(absl::StrCat("hidden_size ", shape.hidden_size,
                             " is not a multiple of num_attention_heads ", shape.attention_heads));
  }
  if (shape.head_dim % 2 != 0)
    fields.Fail(absl::StrCat("head_dim is ", shape.head_dim, "; supported: even numbers"));
  return shape;
}

// transformers 5 writes rope_parameters {rope_theta, rope_type}; 4 writes rope_theta and
// rope_scaling {type or rope_type}. Either may hold a scaling that changes every position.
double ReadRopeTheta(Fields& fields) {
  double theta = fields.Positive("rope_theta", 10000);
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const json* value = fields.Find(name);
    if (value == nullptr) continue;
    if (!value->is_object()) {
      fields.Fail(name, *value, "an object or null");
      continue;
    }
    Fields rope(*value);
    theta = rope.Positive("rope_theta", theta);
    rope.Only("rope_type", "default");
    rope.Only("type", "default");
    rope.Only("partial_rotary_factor", 1.0);
    if (!rope.status().ok()) fields.Fail(absl::StrCat(name, ".", rope.status().message()));
  }
  fields.Only("partial_rotary_factor", 1.0);
  return theta;
}

// A token id: -1 for null, which old files write themselves. Llama's and Mistral's classes begin
// with 1 and end with 2 where the field is missing.
int64_t ReadTokenId(Fields& fields, const char* name, int64_t if_missing, int64_t vocab_size) {
  return fields.Int(name, fields.Has(name) ? -1 : if_missing, -1, vocab_size - 1);
}

std::vector<int64_t> ReadEosIds(Fields& fields, std::vector<int64_t> if_missing,
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
  Fields fields(object);
  CheckArchitecture(fields);
  RETURN_IF_ERROR(
      fields.status());  // Without its architecture known, no other field has a meaning.
  ModelConfig config;
  config.shape = ReadShape(fields);
  config.rms_norm_eps = fields.Positive("rms_norm_eps", 1e-6);
  config.rope_theta = ReadRopeTheta(fields);
  config.max_position_embeddings = fields.Int("max_position_embeddings", 2048, 1, int64_t{1} << 32);
  config.attention_bias = fields.Bool("attention_bias", false);
  config.mlp_bias = fields.Bool("mlp_bias", false);
  config.eos_token_ids = ReadEosIds(fields, {2}, config.shape.vocab_size);
  config.bos_token_id = ReadTokenId(fields, "bos_token_id", 1, config.shape.vocab_size);
  config.pad_token_id = ReadTokenId(fields, "pad_token_id", -1, config.shape.vocab_size);
  config.dtype = fields.Text("dtype", fields.Text("torch_dtype", ""));
  RETURN_IF_ERROR(fields.status());
  return config;
}

// generation_config.json knows more end tokens than config.json in many chat models, so its list
// wins.
absl::Status ApplyGenerationConfig(std::string_view text, ModelConfig& config) {
  ASSIGN_OR_RETURN(const json object, ParseObject(text));
  Fields fields(object);
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
