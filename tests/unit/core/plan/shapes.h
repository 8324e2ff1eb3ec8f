// Model shapes and tables that several tests use.
#pragma once

#include "core/base/check.h"
#include "core/plan/layer_table.h"

namespace dropbp {

inline ModelShape SmolLm2() {
  return {.model_type = "llama",
          .layers = 30,
          .hidden_size = 576,
          .intermediate_size = 1536,
          .attention_heads = 9,
          .key_value_heads = 3,
          .head_dim = 64,
          .vocab_size = 49152,
          .tied_embeddings = true};
}

inline ModelShape Llama2With7B() {
  return {.model_type = "llama",
          .layers = 32,
          .hidden_size = 4096,
          .intermediate_size = 11008,
          .attention_heads = 32,
          .key_value_heads = 32,
          .head_dim = 128,
          .vocab_size = 32000,
          .tied_embeddings = false};
}

inline LayerTable TableOf(const ModelShape& shape, const JobSpec& spec = {}) {
  auto table = BuildLayerTable(shape, spec, 512);
  DROPBP_CHECK(table.ok());
  return *std::move(table);
}

inline JobSpec FullTuning() {
  JobSpec spec;
  spec.method = "full";
  return spec;
}

inline JobSpec LoraOn(const std::vector<std::string>& modules) {
  JobSpec spec;
  spec.lora.target_modules = modules;
  return spec;
}

// A table with one unit for each cost, in strata by cost.
inline LayerTable TableWithCosts(const std::vector<int64_t>& costs) {
  LayerTable table;
  std::vector<int64_t> distinct;
  for (int64_t cost : costs) {
    size_t stratum = 0;
    while (stratum < distinct.size() && distinct[stratum] != cost) ++stratum;
    if (stratum == distinct.size()) distinct.push_back(cost);
    table.units.push_back({.backward_flops = cost, .stratum = static_cast<int>(stratum)});
  }
  table.strata = static_cast<int>(distinct.size());
  return table;
}

}  // namespace dropbp
