// De-quantisation of NF4 on a GPU: nf4_dequantize.cu, its PTX part of this program and translated
// by the driver for the GPU at hand.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "worker/trainer/model/nf4_kernels.h"

namespace dropbp::trainer {

// Elements [begin, end) into `target`, contiguous, fp32 or bf16, in its device's current stream.
// The view's pointers are to memory of that device. Throws c10::Error with the driver's message; in
// a build without CUDA always.
void DequantizeNf4OnCuda(const cpu::Nf4View& view, int64_t begin, int64_t end,
                         const at::Tensor& target);

}  // namespace dropbp::trainer
