// adapter_config.json, as PEFT writes it.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/layer_table.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// What an adapter folder holds.
struct AdapterSpec {
  std::string method = "lora";  // lora (DoRA and 4-bit base weights included) | ia3 | prompt_tuning
  LoraSpec lora = {};
  Ia3Spec ia3 = {};
  PromptTuningSpec prompt_tuning = {};
};

// The adapter that a job trains; its method is not full.
AdapterSpec AdapterOf(const JobSpec& spec);

// Options that make room for an adapter.
DecoderOptions OptionsFor(const AdapterSpec& adapter);
// Options that a job trains with.
DecoderOptions OptionsFor(const JobSpec& spec, const std::string& device);

// The text of an adapter_config.json.
std::string FormatAdapterConfig(const AdapterSpec& adapter, const std::string& base_model_name,
                                const ModelShape& shape);

// INVALID_ARGUMENT that begins with `source` and names the field, its value and what is supported.
absl::StatusOr<AdapterSpec> ParseAdapterConfig(std::string_view text, const std::string& source);

}  // namespace dropbp::trainer
