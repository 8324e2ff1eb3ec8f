// What the offline verbs load: a model, its tokenizer and, if asked for, an adapter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer.h"
#include "worker/trainer/generate/quantization_flags.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

struct ModelFlags {
  std::string model_dir;
  std::string adapter_dir;  // empty: none
  QuantizationFlags quantization;
  std::string dtype = "auto";
  std::string device = "cpu";
  int threads = 0;  // 0: as many as the machine has cores
};

struct LoadedModel {
  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<const data::Tokenizer> tokenizer;
};

absl::StatusOr<LoadedModel> LoadModel(const ModelFlags& flags);

// Ids of a rendered prompt: the tokenizer's begin token, where it adds one and the text has not got
// it, and the text.
absl::StatusOr<std::vector<data::TokenId>> EncodePrompt(const data::Tokenizer& tokenizer,
                                                        const std::string& text);

}  // namespace dropbp::trainer
