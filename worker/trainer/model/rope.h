// Rotary position embeddings: the angles' cosines and sines, in fp32 as transformers computes them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/hf/rope_config.h"

namespace dropbp::trainer {

struct RopeAngles {
  at::Tensor cos;  // fp32 [batch or 1, sequence, rotary_dim / 2]
  at::Tensor sin;
};

// Tables over positions that grow as longer sequences come. Not thread-safe.
class RopeTable {
 public:
  RopeTable(const hf::RopeConfig& config, int64_t head_dim, at::Device device);

  // Positions 0 ... sequence - 1, batch 1. longrope: its long factors if the sequence is longer
  // than the original positions.
  RopeAngles First(int64_t sequence);
  // positions: int64 [batch, sequence], all below `limit`. longrope: its long factors if `limit` is
  // above the original positions, so that a cache of that size is filled by one set of angles.
  RopeAngles At(const at::Tensor& positions, int64_t limit);

 private:
  struct Table {
    at::Tensor inverse_frequency;  // fp32 [rotary_dim / 2]
    RopeAngles angles = {};        // [positions, rotary_dim / 2]
  };
  // The table for sequences of this length, with at least as many positions.
  const RopeAngles& Grown(int64_t positions);

  double original_positions_;
  double attention_factor_;
  at::Device device_;
  Table table_;
  Table long_table_;  // longrope only
};

}  // namespace dropbp::trainer
