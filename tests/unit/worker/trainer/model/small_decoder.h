// Small random decoders for tests.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>

#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

inline hf::ModelConfig SmallConfig() {
  hf::ModelConfig config;
  config.shape.model_type = "llama";
  config.shape.layers = 3;
  config.shape.hidden_size = 64;
  config.shape.intermediate_size = 96;
  config.shape.attention_heads = 4;
  config.shape.key_value_heads = 2;
  config.shape.head_dim = 16;
  config.shape.vocab_size = 101;
  config.shape.tied_embeddings = true;
  config.rms_norm_eps = 1e-5;
  config.eos_token_ids = {2};
  return config;
}

inline DecoderOptions SmallOptions(const std::string& method, const std::string& dtype = "fp32") {
  DecoderOptions options;
  options.method = method;
  options.dtype = dtype;
  options.lora.rank = 4;
  options.seed = 3;
  return options;
}

// Weights and adapters large enough for every unit to matter.
inline std::unique_ptr<Decoder> SmallDecoder(const DecoderOptions& options) {
  auto decoder = Decoder::Random(SmallConfig(), options).value();
  at::NoGradGuard no_grad;
  at::manual_seed(11);
  for (const TrainableParameter& parameter : decoder->trainable()) {
    if (parameter.name.find("lora_B") != std::string::npos)
      at::Tensor(parameter.value).normal_(0, 0.5);
    if (options.method == "full" && parameter.value.dim() == 2)
      at::Tensor(parameter.value).normal_(0, 0.2);
  }
  return decoder;
}

struct SmallBatch {
  at::Tensor ids;
  at::Tensor targets;
};

inline SmallBatch MakeBatch() {
  at::manual_seed(5);
  SmallBatch batch{at::randint(3, 101, {2, 40}, at::kLong), at::full({2, 40}, -100, at::kLong)};
  batch.targets.narrow(1, 10, 29).copy_(batch.ids.narrow(1, 11, 29));
  return batch;
}

}  // namespace dropbp::trainer
