// Rotary position embeddings: the angles' cosines and sines, in fp32 as transformers computes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace dropbp::trainer {

// A table over positions that grows as longer sequences come. Not thread-safe.
class RopeTable {
 public:
  RopeTable(double theta, int64_t head_dim, at::Device device)
      : theta_(theta), head_dim_(head_dim), device_(device) {}

  struct Angles {
    at::Tensor cos;  // fp32 [batch or 1, sequence, head_dim / 2]
    at::Tensor sin;
  };
  // Positions 0 ... sequence - 1, batch 1.
  Angles First(int64_t sequence);
  // positions: int64 [batch, sequence], all below `limit`.
  Angles At(const at::Tensor& positions, int64_t limit);

 private:
  void Grow(int64_t positions);

  double theta_;
  int64_t head_dim_;
  at::Device device_;
  at::Tensor cos_;  // [positions, head_dim / 2]
  at::Tensor sin_;
};

}  // namespace dropbp::trainer
