#include "worker/trainer/model/adapter_config.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/plan/model_shape.h"
#include "worker/hf/json.h"

namespace dropbp::trainer {
namespace {

using nlohmann::json;

// Fields that would change the result; they must be absent, null, false or empty.
constexpr const char* kUnsupported[] = {"use_dora",
                                        "use_rslora",
                                        "use_qalora",
                                        "use_bdlora",
                                        "lora_bias",
                                        "fan_in_fan_out",
                                        "rank_pattern",
                                        "alpha_pattern",
                                        "modules_to_save",
                                        "layers_to_transform",
                                        "exclude_modules",
                                        "layer_replication",
                                        "trainable_token_indices",
                                        "target_parameters"};

bool IsEmpty(const json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         (value.is_structured() && value.empty());
}

absl::Status FieldError(const std::string& source, const char* field, const json& value,
                        const std::string& legal) {
  return absl::InvalidArgumentError(
      absl::StrCat(source, ": ", field, " is ", hf::DescribeJson(value), "; supported is ", legal));
}

absl::Status CheckSupported(const json& config, const std::string& source) {
  for (const char* field : kUnsupported) {
    const auto found = config.find(field);
    if (found != config.end() && !IsEmpty(*found)) return FieldError(source, field, *found, "null");
  }
  const json bias = config.value("bias", json("none"));
  if (bias != "none") return FieldError(source, "bias", bias, "\"none\"");
  const json type = config.value("peft_type", json());
  if (type != "LORA") return FieldError(source, "peft_type", type, "\"LORA\"");
  return absl::OkStatus();
}

absl::StatusOr<double> Number(const json& config, const char* field, double fallback, double least,
                              const std::string& source) {
  const json value = config.value(field, json(fallback));
  if (!value.is_number() || value.get<double>() < least) {
    return FieldError(source, field, value, absl::StrCat("a number of at least ", least));
  }
  return value.get<double>();
}

bool IsTarget(const json& value) {
  return value.is_string() &&
         std::any_of(std::begin(kLinearModules), std::end(kLinearModules),
                     [&](const char* module) { return value.get<std::string>() == module; });
}

absl::StatusOr<std::vector<std::string>> Targets(const json& config, const std::string& source) {
  const json value = config.value("target_modules", json());
  if (value == "all-linear") return std::vector<std::string>{"all-linear"};
  if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), IsTarget)) {
    return FieldError(source, "target_modules", value,
                      absl::StrCat("a list of some of ", absl::StrJoin(kLinearModules, ", ")));
  }
  return value.get<std::vector<std::string>>();
}

}  // namespace

std::string FormatAdapterConfig(const LoraSpec& lora, const std::string& base_model_name) {
  const json config = {
      {"alpha_pattern", json::object()},
      {"base_model_name_or_path", base_model_name},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {"init_lora_weights", true},
      {"lora_alpha", lora.alpha == static_cast<int64_t>(lora.alpha)
                         ? json(static_cast<int64_t>(lora.alpha))
                         : json(lora.alpha)},
      {"lora_dropout", lora.dropout},
      {"modules_to_save", nullptr},
      {"peft_type", "LORA"},
      {"peft_version", "0.21.2"},
      {"r", lora.rank},
      {"rank_pattern", json::object()},
      {"revision", nullptr},
      {"target_modules", lora.target_modules},
      {"task_type", "CAUSAL_LM"},
      {"use_dora", false},
      {"use_rslora", false},
  };
  return config.dump(2) + "\n";
}

absl::StatusOr<LoraSpec> ParseAdapterConfig(std::string_view text, const std::string& source) {
  absl::StatusOr<json> config = hf::ParseJson(text);
  if (!config.ok()) return Annotate(config.status(), source);
  if (!config->is_object()) return FieldError(source, "the file", *config, "a JSON object");
  RETURN_IF_ERROR(CheckSupported(*config, source));
  LoraSpec lora;
  ASSIGN_OR_RETURN(const double rank, Number(*config, "r", 8, 1, source));
  lora.rank = static_cast<int64_t>(rank);
  ASSIGN_OR_RETURN(lora.alpha, Number(*config, "lora_alpha", 8, 0, source));
  ASSIGN_OR_RETURN(lora.dropout, Number(*config, "lora_dropout", 0, 0, source));
  ASSIGN_OR_RETURN(lora.target_modules, Targets(*config, source));
  return lora;
}

}  // namespace dropbp::trainer
