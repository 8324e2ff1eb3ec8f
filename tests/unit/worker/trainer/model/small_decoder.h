// Small random decoders for tests.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <vector>

#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// What config.json says besides a model's shape, by model_type. Windows are shorter than
// MakeBatch's sequences.
inline std::string FieldsOf(const std::string& family) {
  if (family == "mistral") return R"("sliding_window": 9,)";
  if (family == "qwen2") {
    return R"("use_sliding_window": true, "sliding_window": 9, "max_window_layers": 1,)";
  }
  if (family == "qwen3") return R"("attention_bias": true,)";
  if (family == "smollm3") return R"("no_rope_layers": [1, 0, 1],)";
  if (family == "gemma2") return R"("sliding_window": 9, "query_pre_attn_scalar": 20,)";
  if (family == "gemma3_text") {
    return R"("sliding_window": 9, "sliding_window_pattern": 2, "final_logit_softcapping": 25,)";
  }
  if (family == "phi3") return R"("sliding_window": 9, "partial_rotary_factor": 0.5,)";
  return "";
}

// Droppable units of every small decoder: attention and MLP of three layers.
inline constexpr int kSmallUnits = 6;

inline hf::ModelConfig SmallConfig(const std::string& family = "llama") {
  const std::string text = R"({"model_type": ")" + family + R"(", )" + FieldsOf(family) + R"(
      "num_hidden_layers": 3, "hidden_size": 64, "intermediate_size": 96, "vocab_size": 101,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
      "tie_word_embeddings": true, "rms_norm_eps": 1e-5, "eos_token_id": 2})";
  return hf::ParseModelConfig(text, family).value();
}

// The families that differ most from one another.
inline const char* const kSmallFamilies[] = {"llama",  "qwen2",       "smollm3",
                                             "gemma2", "gemma3_text", "phi3"};

// A family and how it is trained; the parameter of tests.
struct SmallCase {
  std::string family;
  std::string method;

  std::string Name() const { return family + "_" + method; }
};

inline std::vector<SmallCase> SmallCases() {
  std::vector<SmallCase> cases;
  for (const char* family : kSmallFamilies) {
    for (const char* method : {"lora", "full"}) cases.push_back({family, method});
  }
  for (const char* method : {"qlora", "dora", "ia3", "prompt_tuning"})
    cases.push_back({"llama", method});
  cases.push_back({"phi3", "qlora"});
  return cases;
}

// `method`: one of a job's, or dora.
inline DecoderOptions SmallOptions(const std::string& method, const std::string& dtype = "fp32") {
  DecoderOptions options;
  options.method = method == "dora" ? "lora" : method;
  options.lora.use_dora = method == "dora";
  options.prompt_tuning.num_virtual_tokens = 4;
  options.dtype = dtype;
  options.lora.rank = 4;
  options.seed = 3;
  return options;
}

// A job of that method, with SmallOptions' settings.
inline JobSpec SmallSpec(const std::string& method) {
  const DecoderOptions options = SmallOptions(method);
  JobSpec spec;
  spec.method = options.method;
  spec.lora = options.lora;
  spec.prompt_tuning = options.prompt_tuning;
  return spec;
}

// Weights and adapters large enough for every unit to matter.
inline std::unique_ptr<Decoder> SmallDecoder(const DecoderOptions& options,
                                             const std::string& family = "llama") {
  auto decoder = Decoder::Random(SmallConfig(family), options).value();
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
