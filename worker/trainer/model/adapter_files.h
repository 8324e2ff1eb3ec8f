// Trained weights on disk, as PEFT and transformers read and write them. See docs/formats.md.
#pragma once

#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// Writes adapter_model.safetensors (fp32) and, last, adapter_config.json into `dir`, which is
// created if needed. Each file appears whole or not at all, so a folder with a config is complete.
absl::Status WriteAdapter(const std::string& dir, const Decoder& decoder, const LoraSpec& lora,
                          const std::string& base_model_name);

// Rank, alpha, dropout and targets of an adapter folder: what DecoderOptions needs to make room for
// it. INVALID_ARGUMENT that names the field for an adapter with features that are not supported
// (DoRA, rank patterns, ...).
absl::StatusOr<LoraSpec> ReadAdapterConfig(const std::string& dir);

// Copies an adapter into a decoder loaded with its LoraSpec. INVALID_ARGUMENT names the file and
// the first tensor that is missing, unexpected or of another shape; the decoder is unchanged then.
absl::Status LoadAdapter(const std::string& dir, Decoder& decoder);

// Full fine-tuning: writes model.safetensors in the dtype that config.json names and copies
// configuration and tokenizer files from `base_model_dir`, config.json last.
absl::Status WriteModel(const std::string& dir, const Decoder& decoder,
                        const std::string& base_model_dir);

}  // namespace dropbp::trainer
