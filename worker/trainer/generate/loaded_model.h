// What the offline verbs load: a model, its tokenizer and, if asked for, an adapter.
#pragma once

#include <memory>
#include <string>

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

}  // namespace dropbp::trainer
