// Loops over rows for the CPU, one pass over memory each, compiled for the vector units of several
// processor generations. No torch. T is float or Bf16; arithmetic is in fp32. Every function works
// on rows [begin, end), so that callers can share rows among threads; a row's result does not
// depend on the split.
#pragma once

#include <cstdint>

namespace dropbp::trainer::cpu {

struct Bf16 {
  uint16_t bits;
};

struct Rows {
  int64_t begin;
  int64_t end;
  int64_t width;  // elements in a row
};

// y = round(x * inverse_rms) * weight; with a unit offset x * inverse_rms * (1 + weight), rounded
// once. `inverse_rms` [rows] is written by RmsNorm and read by RmsNormAgain.
template <typename T>
struct RmsNormArgs {
  const T* x;
  const T* weight;
  T* y;
  float* inverse_rms;
  float epsilon;
  bool unit_offset;
};
void RmsNorm(const RmsNormArgs<float>& args, Rows rows);
void RmsNorm(const RmsNormArgs<Bf16>& args, Rows rows);
void RmsNormAgain(const RmsNormArgs<float>& args, Rows rows);
void RmsNormAgain(const RmsNormArgs<Bf16>& args, Rows rows);

template <typename T>
struct RmsNormGradArgs {
  const T* dy;
  const T* x;
  const T* weight;
  const float* inverse_rms;
  T* dx;
  bool unit_offset;
};
void RmsNormGrad(const RmsNormGradArgs<float>& args, Rows rows);
void RmsNormGrad(const RmsNormGradArgs<Bf16>& args, Rows rows);

// y [rows, width] = silu(gate) * up, gate_up [rows, 2 * width].
void SwiGlu(const float* gate_up, float* y, Rows rows);
void SwiGlu(const Bf16* gate_up, Bf16* y, Rows rows);
void SwiGluGrad(const float* dy, const float* gate_up, float* dgate_up, Rows rows);
void SwiGluGrad(const Bf16* dy, const Bf16* gate_up, Bf16* dgate_up, Rows rows);

// The same with GELU in its tanh form in place of silu.
void GeGlu(const float* gate_up, float* y, Rows rows);
void GeGlu(const Bf16* gate_up, Bf16* y, Rows rows);
void GeGluGrad(const float* dy, const float* gate_up, float* dgate_up, Rows rows);
void GeGluGrad(const Bf16* dy, const Bf16* gate_up, Bf16* dgate_up, Rows rows);

// Rotates `heads` heads of `head_dim` elements at the beginning of each row, in place: of each head
// the first 2 * pairs elements.
template <typename T>
struct RotateArgs {
  T* x;
  const float* cos;  // [angle_rows, pairs]
  const float* sin;
  int64_t angle_rows;  // row r turns by angle row r % angle_rows
  int64_t heads;
  int64_t head_dim;
  int64_t pairs;
  float sign;  // -1: back
};
void Rotate(const RotateArgs<float>& args, Rows rows);
void Rotate(const RotateArgs<Bf16>& args, Rows rows);

// Attention scores -> weights in place. Row r sees first_position + (r % block_rows) / group + 1
// keys; with a window only the last `window` of them.
template <typename T>
struct SoftmaxArgs {
  T* scores;
  float* logsumexp;  // [rows]; written by CausalSoftmax and read by CausalSoftmaxAgain
  int64_t block_rows;
  int64_t first_position;
  int64_t group;
  float scale;
  int64_t window;  // 0: none
};
void CausalSoftmax(const SoftmaxArgs<float>& args, Rows rows);
void CausalSoftmax(const SoftmaxArgs<Bf16>& args, Rows rows);
void CausalSoftmaxAgain(const SoftmaxArgs<float>& args, Rows rows);
void CausalSoftmaxAgain(const SoftmaxArgs<Bf16>& args, Rows rows);

// dweights = weights * (dweights - delta) * scale; delta [rows].
void SoftmaxGrad(float* dweights, const float* weights, const float* delta, float scale, Rows rows);
void SoftmaxGrad(Bf16* dweights, const Bf16* weights, const float* delta, float scale, Rows rows);

// losses [rows]; logits become their gradients if `want_grad`.
void CrossEntropy(float* logits, const int64_t* targets, float* losses, bool want_grad, Rows rows);
void CrossEntropy(Bf16* logits, const int64_t* targets, float* losses, bool want_grad, Rows rows);

}  // namespace dropbp::trainer::cpu
