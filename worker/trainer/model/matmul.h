// Matrix products of linear layers, by the fastest route of the device. All operands are 2-D and of
// one dtype.
#pragma once

#include <ATen/core/Tensor.h>

namespace dropbp::trainer {

// x weight^T + bias: [rows, in] x [out, in] -> [rows, out]. `bias` [out] may be undefined.
at::Tensor LinearForward(const at::Tensor& x, const at::Tensor& weight,
                         const at::Tensor& bias = {});

// Gradient of LinearForward's x: dy weight, [rows, out] x [out, in] -> [rows, in].
at::Tensor LinearInputGrad(const at::Tensor& dy, const at::Tensor& weight);

// Gradient of LinearForward's weight: dy^T x, [rows, out]^T x [rows, in] -> [out, in].
at::Tensor LinearWeightGrad(const at::Tensor& dy, const at::Tensor& x);

}  // namespace dropbp::trainer
