#include "worker/trainer/model/generic_kernels.h"

#include <ATen/ATen.h>

namespace dropbp::trainer::generic {
namespace {

// [rows, keys], true where a row does not see a key.
at::Tensor Unseen(const at::Tensor& scores, const CausalRows& rows) {
  const auto options = scores.options().dtype(at::kLong);
  const at::Tensor positions =
      at::arange(scores.size(1), options).floor_divide(rows.group).add_(rows.first_position);
  const at::Tensor keys = at::arange(scores.size(2), options).unsqueeze(0);
  const at::Tensor later = keys.gt(positions.unsqueeze(1));
  return rows.window > 0 ? later.logical_or(keys.le(positions.unsqueeze(1) - rows.window)) : later;
}

at::Tensor Normalized(const at::Tensor& x, const at::Tensor& inverse_rms) {
  return x.to(at::kFloat).mul(inverse_rms);
}

at::Tensor Activated(const at::Tensor& gate, Activation activation) {
  return activation == Activation::kSilu ? at::silu(gate) : at::gelu(gate, "tanh");
}

}  // namespace

RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                      bool unit_offset) {
  const at::Tensor x32 = x.to(at::kFloat);
  const at::Tensor inverse_rms = x32.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return {RmsNormAgain(x, weight, inverse_rms, unit_offset), inverse_rms};
}

at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms, bool unit_offset) {
  at::Tensor normalized = Normalized(x, inverse_rms);
  if (unit_offset) return normalized.mul_(weight.to(at::kFloat) + 1).to(x.scalar_type());
  return normalized.to(x.scalar_type()).mul_(weight);
}

at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms, bool unit_offset) {
  const at::Tensor normalized = Normalized(x, inverse_rms);
  const at::Tensor weight32 = weight.to(at::kFloat);
  at::Tensor grad = dy.to(at::kFloat).mul(unit_offset ? weight32 + 1 : weight32);
  const at::Tensor projection = at::mul(grad, normalized).mean(-1, /*keepdim=*/true);
  grad = at::addcmul(grad, normalized, projection, -1).mul_(inverse_rms);
  return grad.to(x.scalar_type());
}

at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms) {
  return Normalized(x, inverse_rms).mul_(dy).sum(0);
}

at::Tensor Glu(const at::Tensor& gate_up, Activation activation) {
  const auto halves = gate_up.chunk(2, -1);
  return Activated(halves[0], activation).mul_(halves[1]);
}

at::Tensor GluGrad(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation) {
  const auto halves = gate_up.chunk(2, -1);
  at::Tensor grad = at::empty_like(gate_up);
  const at::Tensor dgate = dy * halves[1];
  grad.narrow(-1, 0, dy.size(-1))
      .copy_(activation == Activation::kSilu ? at::silu_backward(dgate, halves[0])
                                             : at::gelu_backward(dgate, halves[0], "tanh"));
  at::Tensor up_grad = grad.narrow(-1, dy.size(-1), dy.size(-1));
  at::mul_out(up_grad, dy, Activated(halves[0], activation));
  return grad;
}

void RotateInPlace(const at::Tensor& qkv, int64_t heads, int64_t head_dim, const RopeAngles& angles,
                   double sign) {
  const int64_t half = angles.cos.size(2);
  const at::Tensor rotated =
      qkv.view({-1, angles.cos.size(1), qkv.size(1) / head_dim, head_dim}).narrow(2, 0, heads);
  at::Tensor first = rotated.narrow(-1, 0, half);
  at::Tensor second = rotated.narrow(-1, half, half);
  const at::Tensor c = angles.cos.unsqueeze(2);
  const at::Tensor s = angles.sin.unsqueeze(2).mul(sign);
  const at::Tensor first32 = first.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  const at::Tensor second32 = second.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  first.copy_(at::mul(first32, c).sub_(second32 * s));
  second.copy_(at::mul(second32, c).add_(first32 * s));
}

at::Tensor CausalSoftmaxInPlace(at::Tensor& scores, const CausalRows& rows) {
  const at::Tensor scaled =
      scores.to(at::kFloat).mul(rows.scale).masked_fill_(Unseen(scores, rows), -INFINITY);
  const at::Tensor logsumexp = at::logsumexp(scaled, -1);
  scores.copy_(at::sub(scaled, logsumexp.unsqueeze(-1)).exp_());
  return logsumexp;
}

void CausalSoftmaxAgainInPlace(at::Tensor& scores, const at::Tensor& logsumexp,
                               const CausalRows& rows) {
  const at::Tensor scaled =
      scores.to(at::kFloat).mul(rows.scale).masked_fill_(Unseen(scores, rows), -INFINITY);
  scores.copy_(at::sub(scaled, logsumexp.unsqueeze(-1)).exp_());
}

void SoftmaxGradInPlace(at::Tensor& dweights, const at::Tensor& weights, const at::Tensor& delta,
                        double scale) {
  dweights.copy_(at::sub(dweights.to(at::kFloat), delta.unsqueeze(-1)).mul_(weights).mul_(scale));
}

at::Tensor CrossEntropyInPlace(at::Tensor& logits, const at::Tensor& targets, bool want_grad) {
  const at::Tensor logits32 = logits.to(at::kFloat);
  const at::Tensor logsumexp = at::logsumexp(logits32, -1, /*keepdim=*/true);
  const at::Tensor index = targets.unsqueeze(1);
  const at::Tensor sum = at::sub(logsumexp, logits32.gather(1, index)).sum();
  if (want_grad) {
    at::Tensor grad = at::sub(logits32, logsumexp).exp_();
    grad.scatter_add_(1, index, at::full({1, 1}, -1.0, grad.options()).expand_as(index));
    logits.copy_(grad);
  }
  return sum;
}

}  // namespace dropbp::trainer::generic
