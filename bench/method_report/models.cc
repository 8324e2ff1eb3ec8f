#include "bench/method_report/models.h"

#include "core/base/check.h"

namespace dropbp::bench {

NamedModel Llama2With7B() {
  return {.name = "LLaMA2-7B",
          .shape = {.model_type = "llama",
                    .layers = 32,
                    .hidden_size = 4096,
                    .intermediate_size = 11008,
                    .attention_heads = 32,
                    .key_value_heads = 32,
                    .head_dim = 128,
                    .vocab_size = 32000},
          .sequence_length = 512};
}

NamedModel SmolLm2With135M() {
  return {.name = "SmolLM2-135M",
          .shape = {.model_type = "llama",
                    .layers = 30,
                    .hidden_size = 576,
                    .intermediate_size = 1536,
                    .attention_heads = 9,
                    .key_value_heads = 3,
                    .head_dim = 64,
                    .vocab_size = 49152,
                    .tied_embeddings = true},
          .sequence_length = 512};
}

NamedModel Llama3With70B() {
  return {.name = "Llama-3-70B",
          .shape = {.model_type = "llama",
                    .layers = 80,
                    .hidden_size = 8192,
                    .intermediate_size = 28672,
                    .attention_heads = 64,
                    .key_value_heads = 8,
                    .head_dim = 128,
                    .vocab_size = 128256},
          .sequence_length = 4096};
}

LayerTable TableOf(const NamedModel& model, const std::string& method) {
  JobSpec spec;
  spec.method = method;
  auto table = BuildLayerTable(model.shape, spec, model.sequence_length);
  DROPBP_CHECK(table.ok());
  return *std::move(table);
}

}  // namespace dropbp::bench
