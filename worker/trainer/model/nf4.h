// A matrix in 4 bits: NF4 blocks with fp32 scales, or scales in 8 bits (double quantisation). The
// codes and scales of bitsandbytes to the bit; see nf4_kernels.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/job/job_spec.h"
#include "worker/trainer/model/nf4_kernels.h"

namespace dropbp::trainer {

// Immutable.
class Nf4Matrix {
 public:
  // `weight`: fp32 [out, in] on the CPU; the result lies on `device`.
  static Nf4Matrix Quantize(const at::Tensor& weight, const QloraSpec& options, at::Device device);

  // Rows [begin, end) into `target` [end - begin, in], contiguous, fp32 or bf16: in fp32, then
  // rounded. `target` lies on the device of the matrix.
  void DequantizeRows(int64_t begin, int64_t end, at::Tensor target) const;

  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }
  int64_t bytes() const;

  const at::Tensor& codes() const { return codes_; }
  // fp32 by block; undefined with double quantisation.
  const at::Tensor& absmax() const { return absmax_; }
  // With double quantisation: uint8 by block, fp32 by 256 blocks, and what was subtracted from all
  // scales before. Undefined without.
  const at::Tensor& nested_codes() const { return nested_codes_; }
  const at::Tensor& nested_absmax() const { return nested_absmax_; }
  float offset() const { return offset_; }

 private:
  void QuantizeScales();
  cpu::Nf4View View() const;

  int64_t rows_ = 0;
  int64_t width_ = 0;
  int64_t block_size_ = 64;
  at::Tensor codes_;  // uint8 [(rows * width + 1) / 2]
  at::Tensor absmax_;
  at::Tensor nested_codes_;
  at::Tensor nested_absmax_;
  float offset_ = 0;
};

}  // namespace dropbp::trainer
