#include "worker/trainer/model/generic_kernels.h"

#include <ATen/ATen.h>

namespace dropbp::trainer::generic {
namespace {

// [rows, keys], true where a row does not see a key.
at::Tensor Unseen(const at::Tensor& scores, const CausalRows& rows) {
  const auto options = scores.options().dtype(at::kLong);
  const at::Tensor positions =
      at::arange(scores.size(1), options).floor_divide(rows.group).add_(rows.first_position);
  return at::arange(scores.size(2), options).unsqueeze(0).gt(positions.unsqueeze(1));
}

at::Tensor Normalized(const at::Tensor& x, const at::Tensor& inverse_rms) {
  return x.to(at::kFloat).mul(inverse_rms);
}

}  // namespace

RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor x32 = x.to(at::kFloat);
  const at::Tensor inverse_rms = x32.square().mean(-1, /*keepdim=*/true).add_(epsilon).rsqrt_();
  return {RmsNormAgain(x, weight, inverse_rms), inverse_rms};
}

at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms) {
  return Normalized(x, inverse_rms).to(x.scalar_type()).mul_(weight);
}

at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms) {
  const at::Tensor normalized = Normalized(x, inverse_rms);
  at::Tensor grad = dy.to(at::kFloat).mul(weight.to(at::kFloat));
  const at::Tensor projection = at::mul(grad, normalized).mean(-1, /*keepdim=*/true);
  grad = at::addcmul(grad, normalized, projection, -1).mul_(inverse_rms);
  return grad.to(x.scalar_type());
}

at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms) {
  return Normalized(x, inverse_rms).mul_(dy).sum(0);
}

at::Tensor SwiGlu(const at::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, -1);
  return at::silu(halves[0]).mul_(halves[1]);
}

at::Tensor SwiGluGrad(const at::Tensor& dy, const at::Tensor& gate_up) {
  const auto halves = gate_up.chunk(2, -1);
  at::Tensor grad = at::empty_like(gate_up);
  grad.narrow(-1, 0, dy.size(-1)).copy_(at::silu_backward(dy * halves[1], halves[0]));
  at::Tensor up_grad = grad.narrow(-1, dy.size(-1), dy.size(-1));
  at::mul_out(up_grad, dy, at::silu(halves[0]));
  return grad;
}

void RotateInPlace(const at::Tensor& qkv, int64_t heads, const at::Tensor& cos,
                   const at::Tensor& sin, bool inverse) {
  const int64_t half = cos.size(2);
  const at::Tensor rotated =
      qkv.view({-1, cos.size(1), qkv.size(1) / (2 * half), 2 * half}).narrow(2, 0, heads);
  at::Tensor first = rotated.narrow(-1, 0, half);
  at::Tensor second = rotated.narrow(-1, half, half);
  const at::Tensor c = cos.unsqueeze(2);
  const at::Tensor s = inverse ? sin.unsqueeze(2).neg() : sin.unsqueeze(2);
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
