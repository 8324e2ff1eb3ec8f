// The matrix of a linear group: dense in the compute dtype, or NF4 matrices one below another that
// are de-quantised a block of rows at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "worker/trainer/model/nf4.h"

namespace dropbp::trainer {

class LinearWeight {
 public:
  LinearWeight() = default;
  // dense: [out, in].
  explicit LinearWeight(at::Tensor dense) : dense_(std::move(dense)) {}
  // Computes in `dtype`. All matrices are equally wide.
  LinearWeight(std::vector<Nf4Matrix> parts, at::ScalarType dtype);

  // x weight^T + bias: [rows, in] -> [rows, out]. `bias` [out] may be undefined.
  at::Tensor Forward(const at::Tensor& x, const at::Tensor& bias) const;

  // dy weight: [rows, out] -> [rows, in].
  at::Tensor InputGrad(const at::Tensor& dy) const;

  // Sum of the squares of each row, fp32 [out].
  at::Tensor RowSquares() const;

 private:
  at::Tensor Rows(int64_t begin, int64_t end) const;

  at::Tensor dense_;
  std::vector<Nf4Matrix> parts_;
  at::ScalarType dtype_ = at::ScalarType::Float;
  int64_t rows_ = 0;
  int64_t block_rows_ = 0;  // of one de-quantised block
};

}  // namespace dropbp::trainer
