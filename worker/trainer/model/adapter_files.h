// Trained weights on disk, as PEFT and transformers read and write them. See docs/formats.md.
#pragma once

#include <string>

#include "core/base/status.h"
#include "worker/trainer/model/adapter_config.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// Writes adapter_model.safetensors (fp32) and, last, adapter_config.json into `dir`, which is
// created if needed. Each file appears whole or not at all, so a folder with a config is complete.
absl::Status WriteAdapter(const std::string& dir, const Decoder& decoder,
                          const AdapterSpec& adapter, const std::string& base_model_name);

// The method of an adapter folder and its settings: what DecoderOptions needs to make room for it.
// INVALID_ARGUMENT that names the field for an adapter with features that are not supported.
absl::StatusOr<AdapterSpec> ReadAdapterConfig(const std::string& dir);

// Copies an adapter into a decoder loaded with its settings. INVALID_ARGUMENT names the file and
// the first tensor that is missing, unexpected or of another shape; the decoder is unchanged then.
absl::Status LoadAdapter(const std::string& dir, Decoder& decoder);

// Copies the weights that WriteModel wrote into a decoder of full fine-tuning; errors as
// LoadAdapter.
absl::Status LoadModelWeights(const std::string& dir, Decoder& decoder);

// Full fine-tuning: writes model.safetensors in the dtype that config.json names and copies
// configuration and tokenizer files from `base_model_dir`, config.json last.
absl::Status WriteModel(const std::string& dir, const Decoder& decoder,
                        const std::string& base_model_dir);

// What a job leaves behind: WriteModel for method full, else WriteAdapter.
absl::Status WriteResult(const std::string& dir, const Decoder& decoder, const JobSpec& spec,
                         const std::string& base_model_dir);

// Copies what transformers needs beside the weights, config.json last.
absl::Status CopyModelFiles(const std::string& from_dir, const std::string& to_dir);

}  // namespace dropbp::trainer
