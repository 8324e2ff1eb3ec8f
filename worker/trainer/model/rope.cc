#include "worker/trainer/model/rope.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numbers>
#include <vector>

namespace dropbp::trainer {
namespace {

// theta^(2i / dim), fp32 [dim / 2].
at::Tensor Wavelengths(double theta, int64_t dim) {
  const at::Tensor exponent = at::arange(0, dim, 2, at::kLong).to(at::kFloat).div_(dim);
  return at::pow(at::Scalar(theta), exponent);
}

// Llama 3.1: long waves are slowed down by `factor`, short ones are not, those between in part.
at::Tensor Llama3Frequencies(const at::Tensor& plain, const hf::RopeConfig& config) {
  const double longest = config.original_positions / config.low_freq_factor;
  const double shortest = config.original_positions / config.high_freq_factor;
  const at::Tensor wavelength = plain.reciprocal().mul_(2 * std::numbers::pi);
  const at::Tensor smooth = wavelength.reciprocal()
                                .mul_(config.original_positions)
                                .sub_(config.low_freq_factor)
                                .div_(config.high_freq_factor - config.low_freq_factor);
  const at::Tensor between = (1 - smooth) * plain / config.factor + smooth * plain;
  const at::Tensor slowed = at::where(wavelength > longest, plain / config.factor, between);
  return at::where(wavelength < shortest, plain, slowed);
}

at::Tensor InverseFrequencies(const hf::RopeConfig& config, int64_t dim) {
  const at::Tensor plain = Wavelengths(config.theta, dim).reciprocal_();
  if (config.type == "linear") return plain / config.factor;
  if (config.type == "llama3") return Llama3Frequencies(plain, config);
  return plain;
}

at::Tensor Stretched(const hf::RopeConfig& config, int64_t dim,
                     const std::vector<double>& factors) {
  return at::tensor(factors, at::kFloat).mul_(Wavelengths(config.theta, dim)).reciprocal_();
}

}  // namespace

RopeTable::RopeTable(const hf::RopeConfig& config, int64_t head_dim, at::Device device)
    : original_positions_(config.original_positions),
      attention_factor_(config.attention_factor),
      device_(device) {
  const int64_t dim = config.rotary_dim > 0 ? config.rotary_dim : head_dim;
  if (config.type == "longrope") {
    table_.inverse_frequency = Stretched(config, dim, config.short_factors);
    long_table_.inverse_frequency = Stretched(config, dim, config.long_factors);
  } else {
    table_.inverse_frequency = InverseFrequencies(config, dim);
  }
}

const RopeAngles& RopeTable::Grown(int64_t positions) {
  const bool is_long = long_table_.inverse_frequency.defined() &&
                       static_cast<double>(positions) > original_positions_;
  Table& table = is_long ? long_table_ : table_;
  const int64_t known = table.angles.cos.defined() ? table.angles.cos.size(0) : 0;
  if (positions <= known) return table.angles;
  // Always on the CPU, so that every device turns by the same angles.
  const at::Tensor angles =
      at::arange(std::max(positions, 2 * known), at::TensorOptions().dtype(at::kFloat))
          .unsqueeze(1) *
      table.inverse_frequency;
  table.angles.cos = angles.cos().mul_(attention_factor_).to(device_);
  table.angles.sin = angles.sin().mul_(attention_factor_).to(device_);
  return table.angles;
}

RopeAngles RopeTable::First(int64_t sequence) {
  const RopeAngles& all = Grown(sequence);
  return {all.cos.narrow(0, 0, sequence).unsqueeze(0), all.sin.narrow(0, 0, sequence).unsqueeze(0)};
}

RopeAngles RopeTable::At(const at::Tensor& positions, int64_t limit) {
  const RopeAngles& all = Grown(limit);
  const auto pick = [&](const at::Tensor& table) {
    return table.index_select(0, positions.reshape({-1}))
        .view({positions.size(0), positions.size(1), -1});
  };
  return {pick(all.cos), pick(all.sin)};
}

}  // namespace dropbp::trainer
