// The models that the report speaks of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/plan/layer_table.h"

namespace dropbp::bench {

struct NamedModel {
  std::string name;
  ModelShape shape;
  int64_t sequence_length = 0;  // tokens

  int64_t units() const { return 2 * shape.layers; }
};

NamedModel Llama2With7B();     // 64 units, sequence 512
NamedModel SmolLm2With135M();  // 60 units, sequence 512
NamedModel Llama3With70B();    // 160 units, sequence 4096

// `method`: lora (rank 16, all linear modules) or full.
LayerTable TableOf(const NamedModel& model, const std::string& method);

}  // namespace dropbp::bench
