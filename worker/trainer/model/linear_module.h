// One linear module of a decoder, such as q_proj, and what is trained of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace dropbp::trainer {

// Rows [offset, offset + out) of its group's matrix. All leaves are fp32; an undefined one is not
// there.
struct LinearModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t offset = 0;
  int64_t out = 0;
  at::Tensor lora_a;         // leaf [rank, in]
  at::Tensor lora_b;         // leaf [out, rank]
  double scaling = 0;        // of B A
  at::Tensor magnitude;      // DoRA: leaf [out], norms of the adapted weight's rows
  at::Tensor output_factor;  // (IA)^3: leaf [out, 1] on the output
  at::Tensor input_factor;   // (IA)^3: leaf [1, in] on the input
  at::Tensor master;         // leaf [out, in]; undefined: frozen
  at::Tensor master_bias;    // leaf [out]
};

}  // namespace dropbp::trainer
