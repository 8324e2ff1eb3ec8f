#include "worker/trainer/model/linear_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "worker/trainer/model/matmul.h"

namespace dropbp::trainer {
namespace {

// Elements that are dense at a time: enough for a product at full speed, and little beside a model.
constexpr int64_t kBlockElements = int64_t{1} << 24;

}  // namespace

LinearWeight::LinearWeight(std::vector<Nf4Matrix> parts, at::ScalarType dtype)
    : parts_(std::move(parts)), dtype_(dtype) {
  for (const Nf4Matrix& part : parts_) rows_ += part.rows();
  block_rows_ = std::max<int64_t>(1, kBlockElements / parts_.front().width());
}

// Rows [begin, end) of all parts together.
at::Tensor LinearWeight::Rows(int64_t begin, int64_t end) const {
  const auto options = parts_.front().codes().options().dtype(dtype_);
  at::Tensor rows = at::empty({end - begin, parts_.front().width()}, options);
  int64_t offset = 0;
  for (const Nf4Matrix& part : parts_) {
    const int64_t from = std::max(begin, offset);
    const int64_t to = std::min(end, offset + part.rows());
    if (from < to)
      part.DequantizeRows(from - offset, to - offset, rows.slice(0, from - begin, to - begin));
    offset += part.rows();
  }
  return rows;
}

at::Tensor LinearWeight::Forward(const at::Tensor& x, const at::Tensor& bias) const {
  if (dense_.defined()) return LinearForward(x, dense_, bias);
  if (rows_ <= block_rows_) return LinearForward(x, Rows(0, rows_), bias);
  at::Tensor y = at::empty({x.size(0), rows_}, x.options());
  for (int64_t begin = 0; begin < rows_; begin += block_rows_) {
    const int64_t end = std::min(rows_, begin + block_rows_);
    y.slice(1, begin, end)
        .copy_(
            LinearForward(x, Rows(begin, end), bias.defined() ? bias.slice(0, begin, end) : bias));
  }
  return y;
}

at::Tensor LinearWeight::InputGrad(const at::Tensor& dy) const {
  if (dense_.defined()) return LinearInputGrad(dy, dense_);
  at::Tensor dx;
  for (int64_t begin = 0; begin < rows_; begin += block_rows_) {
    const int64_t end = std::min(rows_, begin + block_rows_);
    const at::Tensor part = LinearInputGrad(dy.slice(1, begin, end).contiguous(), Rows(begin, end));
    dx = dx.defined() ? dx.add_(part) : part;
  }
  return dx;
}

at::Tensor LinearWeight::RowSquares() const {
  const int64_t rows = dense_.defined() ? dense_.size(0) : rows_;
  const int64_t width = dense_.defined() ? dense_.size(1) : parts_.front().width();
  const int64_t block_rows = std::max<int64_t>(1, kBlockElements / width);
  std::vector<at::Tensor> sums;
  for (int64_t begin = 0; begin < rows; begin += block_rows) {
    const int64_t end = std::min(rows, begin + block_rows);
    const at::Tensor block = dense_.defined() ? dense_.slice(0, begin, end) : Rows(begin, end);
    sums.push_back(block.to(at::kFloat).square().sum(1));
  }
  return at::cat(sums);
}

}  // namespace dropbp::trainer
