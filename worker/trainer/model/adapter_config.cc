#include "worker/trainer/model/adapter_config.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/lora_targets.h"
#include "worker/hf/json.h"

namespace dropbp::trainer {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

constexpr const char* kPeftVersion = "0.21.2";

// Fields that would change the result; they must be absent, null, false or empty.
constexpr const char* kUnsupported[] = {
    "use_qalora",          "use_bdlora",         "lora_bias",         "fan_in_fan_out",
    "layers_to_transform", "exclude_modules",    "layer_replication", "trainable_token_indices",
    "target_parameters",   "ensure_weight_tying"};

bool IsEmpty(const json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         (value.is_structured() && value.empty());
}

// Reads the fields of one file.
class ConfigReader {
 public:
  ConfigReader(const json& config, const std::string& source) : config_(config), source_(source) {}

  absl::Status Error(const char* field, const json& value, const std::string& legal) const {
    return absl::InvalidArgumentError(absl::StrCat(
        source_, ": ", field, " is ", hf::DescribeJson(value), "; supported is ", legal));
  }

  absl::Status CheckSupported() const {
    for (const char* field : kUnsupported) {
      const auto found = config_.find(field);
      if (found != config_.end() && !IsEmpty(*found)) return Error(field, *found, "null");
    }
    const json bias = config_.value("bias", json("none"));
    if (bias != "none") return Error("bias", bias, "\"none\"");
    return absl::OkStatus();
  }

  absl::StatusOr<double> Number(const char* field, double fallback, double least) const {
    const json value = config_.value(field, json(fallback));
    if (!value.is_number() || value.get<double>() < least)
      return Error(field, value, absl::StrCat("a number of at least ", least));
    return value.get<double>();
  }

  absl::StatusOr<bool> Flag(const char* field) const {
    const json value = config_.value(field, json(false));
    if (value.is_null()) return false;
    if (!value.is_boolean()) return Error(field, value, "true or false");
    return value.get<bool>();
  }

  absl::StatusOr<Words> List(const char* field, const Words& legal) const {
    const json value = config_.value(field, json());
    if (value.is_null()) return Words();
    const auto is_legal = [&](const json& word) {
      return word.is_string() &&
             std::find(legal.begin(), legal.end(), word.get<std::string>()) != legal.end();
    };
    if (!value.is_array() || !std::all_of(value.begin(), value.end(), is_legal))
      return Error(field, value, absl::StrCat("a list of some of ", absl::StrJoin(legal, ", ")));
    return value.get<Words>();
  }

  absl::StatusOr<Words> Targets() const {
    if (config_.value("target_modules", json()) == "all-linear") return Words{"all-linear"};
    // PEFT takes names and whole paths.
    const json value = config_.value("target_modules", json());
    const auto is_linear = [](const json& word) {
      if (!word.is_string()) return false;
      const std::string path = word.get<std::string>();
      const Words legal = LinearModuleNames();
      return std::count(legal.begin(), legal.end(), path.substr(path.rfind('.') + 1)) > 0;
    };
    if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), is_linear)) {
      return Error(
          "target_modules", value,
          absl::StrCat("a list of modules named ", absl::StrJoin(LinearModuleNames(), ", ")));
    }
    return value.get<Words>();
  }

  absl::StatusOr<ModulePattern> Pattern(const char* field) const {
    const json value = config_.value(field, json());
    if (value.is_null()) return ModulePattern();
    if (!value.is_object()) return Error(field, value, "an object of numbers");
    ModulePattern pattern;
    for (const auto& [key, number] : value.items()) {
      if (!number.is_number()) return Error(field, value, "an object of numbers");
      pattern[key] = number.get<double>();
    }
    return pattern;
  }

  static Words LinearModuleNames() {
    return Words(std::begin(kLinearModules), std::end(kLinearModules));
  }

 private:
  const json& config_;
  const std::string& source_;
};

absl::StatusOr<LoraSpec> ReadLora(const ConfigReader& reader, const std::string& source) {
  LoraSpec lora;
  ASSIGN_OR_RETURN(const double rank, reader.Number("r", 8, 1));
  lora.rank = static_cast<int64_t>(rank);
  ASSIGN_OR_RETURN(lora.alpha, reader.Number("lora_alpha", 8, 0));
  ASSIGN_OR_RETURN(lora.dropout, reader.Number("lora_dropout", 0, 0));
  ASSIGN_OR_RETURN(lora.target_modules, reader.Targets());
  ASSIGN_OR_RETURN(lora.use_rslora, reader.Flag("use_rslora"));
  ASSIGN_OR_RETURN(lora.use_dora, reader.Flag("use_dora"));
  ASSIGN_OR_RETURN(lora.rank_pattern, reader.Pattern("rank_pattern"));
  ASSIGN_OR_RETURN(lora.alpha_pattern, reader.Pattern("alpha_pattern"));
  ASSIGN_OR_RETURN(lora.modules_to_save,
                   reader.List("modules_to_save", {"embed_tokens", "lm_head"}));
  RETURN_IF_ERROR(Annotate(LoraTargets::Make(lora).status(), source));
  return lora;
}

absl::StatusOr<Ia3Spec> ReadIa3(const ConfigReader& reader) {
  Ia3Spec ia3;
  ASSIGN_OR_RETURN(ia3.target_modules,
                   reader.List("target_modules", ConfigReader::LinearModuleNames()));
  ASSIGN_OR_RETURN(ia3.feedforward_modules,
                   reader.List("feedforward_modules", {"o_proj", "down_proj"}));
  RETURN_IF_ERROR(reader.List("modules_to_save", {}).status());
  return ia3;
}

absl::StatusOr<PromptTuningSpec> ReadPrompt(const ConfigReader& reader) {
  PromptTuningSpec prompt;
  ASSIGN_OR_RETURN(const double tokens, reader.Number("num_virtual_tokens", 0, 1));
  prompt.num_virtual_tokens = static_cast<int64_t>(tokens);
  return prompt;
}

// A number as a person writes it: 16, not 16.0.
json Tidy(double value) {
  return value == static_cast<double>(static_cast<int64_t>(value))
             ? json(static_cast<int64_t>(value))
             : json(value);
}

json PatternJson(const ModulePattern& pattern) {
  json object = json::object();
  for (const auto& [key, number] : pattern) object[key] = Tidy(number);
  return object;
}

json ListOrNull(const Words& words) { return words.empty() ? json() : json(words); }

// "all-linear" as the list that PEFT itself stores for it.
Words TargetList(const LoraSpec& lora, const ModelShape& shape) {
  const bool all =
      std::count(lora.target_modules.begin(), lora.target_modules.end(), "all-linear") > 0;
  return all ? LinearModules(shape) : lora.target_modules;
}

json LoraJson(const LoraSpec& lora, const ModelShape& shape) {
  return {{"alpha_pattern", PatternJson(lora.alpha_pattern)},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"lora_alpha", Tidy(lora.alpha)},
          {"lora_dropout", lora.dropout},
          {"modules_to_save", ListOrNull(lora.modules_to_save)},
          {"peft_type", "LORA"},
          {"r", lora.rank},
          {"rank_pattern", PatternJson(lora.rank_pattern)},
          {"target_modules", TargetList(lora, shape)},
          {"use_dora", lora.use_dora},
          {"use_rslora", lora.use_rslora}};
}

json Ia3Json(const Ia3Spec& ia3) {
  // PEFT refuses others.
  Words feedforward;
  for (const std::string& module : ia3.feedforward_modules) {
    if (std::count(ia3.target_modules.begin(), ia3.target_modules.end(), module) > 0)
      feedforward.push_back(module);
  }
  return {{"fan_in_fan_out", false},  {"feedforward_modules", feedforward},
          {"init_ia3_weights", true}, {"modules_to_save", nullptr},
          {"peft_type", "IA3"},       {"target_modules", ia3.target_modules}};
}

json PromptJson(const PromptTuningSpec& prompt, const ModelShape& shape) {
  return {{"num_attention_heads", shape.attention_heads},
          {"num_layers", shape.layers},
          {"num_transformer_submodules", 1},
          {"num_virtual_tokens", prompt.num_virtual_tokens},
          {"peft_type", "PROMPT_TUNING"},
          {"prompt_tuning_init", prompt.init == "random" ? "RANDOM" : "SAMPLE_VOCAB"},
          {"token_dim", shape.hidden_size}};
}

}  // namespace

AdapterSpec AdapterOf(const JobSpec& spec) {
  return {.method = TrainsLora(spec.method) ? "lora" : spec.method,
          .lora = spec.lora,
          .ia3 = spec.ia3,
          .prompt_tuning = spec.prompt_tuning};
}

DecoderOptions OptionsFor(const AdapterSpec& adapter) {
  DecoderOptions options;
  options.method = adapter.method;
  options.lora = adapter.lora;
  options.ia3 = adapter.ia3;
  options.prompt_tuning = adapter.prompt_tuning;
  return options;
}

DecoderOptions OptionsFor(const JobSpec& spec, const std::string& device) {
  DecoderOptions options = OptionsFor(AdapterOf(spec));
  options.dtype = spec.dtype;
  options.device = device;
  options.method = spec.method;
  options.qlora = spec.qlora;
  options.seed = static_cast<uint64_t>(spec.training.seed);
  options.activation_checkpointing = spec.training.activation_checkpointing;
  return options;
}

std::string FormatAdapterConfig(const AdapterSpec& adapter, const std::string& base_model_name,
                                const ModelShape& shape) {
  json config = adapter.method == "ia3"             ? Ia3Json(adapter.ia3)
                : adapter.method == "prompt_tuning" ? PromptJson(adapter.prompt_tuning, shape)
                                                    : LoraJson(adapter.lora, shape);
  config["base_model_name_or_path"] = base_model_name;
  config["inference_mode"] = true;
  config["peft_version"] = kPeftVersion;
  config["revision"] = nullptr;
  config["task_type"] = "CAUSAL_LM";
  return config.dump(2) + "\n";
}

absl::StatusOr<AdapterSpec> ParseAdapterConfig(std::string_view text, const std::string& source) {
  absl::StatusOr<json> config = hf::ParseJson(text);
  if (!config.ok()) return Annotate(config.status(), source);
  const ConfigReader reader(*config, source);
  if (!config->is_object()) return reader.Error("the file", *config, "a JSON object");
  RETURN_IF_ERROR(reader.CheckSupported());
  const json type = config->value("peft_type", json());
  AdapterSpec adapter;
  if (type == "LORA") {
    ASSIGN_OR_RETURN(adapter.lora, ReadLora(reader, source));
  } else if (type == "IA3") {
    adapter.method = "ia3";
    ASSIGN_OR_RETURN(adapter.ia3, ReadIa3(reader));
  } else if (type == "PROMPT_TUNING") {
    adapter.method = "prompt_tuning";
    ASSIGN_OR_RETURN(adapter.prompt_tuning, ReadPrompt(reader));
  } else {
    return reader.Error("peft_type", type, "\"LORA\", \"IA3\" or \"PROMPT_TUNING\"");
  }
  return adapter;
}

}  // namespace dropbp::trainer
