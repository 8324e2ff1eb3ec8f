// Between torch tensors and the tensors of safetensors files.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "worker/hf/safetensors.h"

namespace dropbp::trainer {

// Torch's name for a floating-point type of a file; nullopt for any other type.
std::optional<at::ScalarType> FloatingType(hf::TensorType type);

// A tensor over the file's memory, which must outlive it; read only. The view's type must be
// floating-point.
at::Tensor BorrowTensor(const hf::TensorView& view);

// A view of a contiguous CPU tensor of fp32, bf16 or fp16, which must outlive it.
hf::TensorView BorrowView(const at::Tensor& tensor);

}  // namespace dropbp::trainer
