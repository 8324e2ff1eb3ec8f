// adapter_config.json, as PEFT writes it.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp::trainer {

// The text of an adapter_config.json. `lora` names its target modules one by one.
std::string FormatAdapterConfig(const LoraSpec& lora, const std::string& base_model_name);

// INVALID_ARGUMENT that begins with `source` and names the field, its value and what is supported.
absl::StatusOr<LoraSpec> ParseAdapterConfig(std::string_view text, const std::string& source);

}  // namespace dropbp::trainer
