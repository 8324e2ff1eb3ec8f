// 4-bit NormalFloat (NF4) with double quantisation, on the CPU: the codes, scales and values of
// bitsandbytes 0.50 to the bit. QLoRA, Dettmers et al., NeurIPS 2023. No torch.
#pragma once

#include <cstdint>

#include "worker/trainer/model/cpu_kernels.h"

namespace dropbp::trainer::cpu {

inline constexpr int64_t kNestedBlock = 256;  // scales that share a scale of their own

// The 16 values of NF4, ascending: quantiles of a standard normal, scaled to [-1, 1].
extern const float kNf4Values[16];

// The 256 values of bitsandbytes' signed dynamic 8-bit type, ascending.
const float* DynamicValues();

// Blocks of `block_size` elements, the last one shorter if need be; block b's absmax is its largest
// absolute value.
struct Nf4Args {
  const float* values;  // [count]
  int64_t count;
  int64_t block_size;  // even
  uint8_t* codes;      // [(count + 1) / 2]: the first element in the high half of a byte
  float* absmax;       // [blocks]
};
// Blocks [begin, end) of them.
void QuantizeNf4(const Nf4Args& args, int64_t begin, int64_t end);

// Scales, less their mean, to 8 bits in blocks of kNestedBlock.
struct NestedArgs {
  const float* values;  // [count]
  int64_t count;
  uint8_t* codes;  // [count]
  float* absmax;   // [nested blocks]
};
void QuantizeNested(const NestedArgs& args);

// A quantised tensor. Either `absmax` holds the scales, or they are nested: DynamicValues()[
// nested_codes[b]] * nested_absmax[b / kNestedBlock] + offset.
struct Nf4View {
  const uint8_t* codes;
  int64_t block_size;
  const float* absmax;  // null: nested
  const uint8_t* nested_codes;
  const float* nested_absmax;
  float offset;
};
// Elements [begin, end) of it: value of the code times scale in fp32, rounded to T.
void DequantizeNf4(const Nf4View& view, int64_t begin, int64_t end, float* out);
void DequantizeNf4(const Nf4View& view, int64_t begin, int64_t end, Bf16* out);

}  // namespace dropbp::trainer::cpu
