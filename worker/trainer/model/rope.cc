#include "worker/trainer/model/rope.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace dropbp::trainer {

void RopeTable::Grow(int64_t positions) {
  const int64_t known = cos_.defined() ? cos_.size(0) : 0;
  if (positions <= known) return;
  // Always on the CPU, so that every device turns by the same angles.
  const auto options = at::TensorOptions().dtype(at::kFloat);
  const at::Tensor exponent = at::arange(0, head_dim_, 2, at::kLong).to(at::kFloat).div_(head_dim_);
  const at::Tensor inverse_frequency = at::pow(at::Scalar(theta_), exponent).reciprocal_();
  const at::Tensor angles =
      at::arange(std::max(positions, 2 * known), options).unsqueeze(1) * inverse_frequency;
  cos_ = angles.cos().to(device_);
  sin_ = angles.sin().to(device_);
}

RopeTable::Angles RopeTable::First(int64_t sequence) {
  Grow(sequence);
  return {cos_.narrow(0, 0, sequence).unsqueeze(0), sin_.narrow(0, 0, sequence).unsqueeze(0)};
}

RopeTable::Angles RopeTable::At(const at::Tensor& positions, int64_t limit) {
  Grow(limit);
  const auto pick = [&](const at::Tensor& table) {
    return table.index_select(0, positions.reshape({-1}))
        .view({positions.size(0), positions.size(1), -1});
  };
  return {pick(cos_), pick(sin_)};
}

}  // namespace dropbp::trainer
