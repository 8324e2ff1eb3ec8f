// Hands contiguous fp32 and bf16 tensors of the CPU to cpu_kernels.h, shared among threads, and all
// others to ATen.
#include "worker/trainer/model/elementwise.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <initializer_list>

#include "worker/trainer/model/cpu_kernels.h"
#include "worker/trainer/model/generic_kernels.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kElementsPerTask = 16384;

// Whether all tensors are contiguous, on the CPU and of the first one's dtype, which the loops
// know.
bool OnCpu(std::initializer_list<at::Tensor> tensors) {
  const at::ScalarType dtype = tensors.begin()->scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16) return false;
  return std::all_of(tensors.begin(), tensors.end(), [dtype](const at::Tensor& tensor) {
    return tensor.is_cpu() && tensor.is_contiguous() && tensor.scalar_type() == dtype;
  });
}

template <typename T>
T* Data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

// Calls body(element type tag, rows) for blocks of `count` rows on all threads.
template <typename Body>
void ForRows(const at::Tensor& typed, int64_t count, int64_t width, Body body) {
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(width, 1));
  const bool bf16 = typed.scalar_type() == at::kBFloat16;
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    const cpu::Rows rows{begin, end, width};
    bf16 ? body(cpu::Bf16{}, rows) : body(float{}, rows);
  });
}

}  // namespace

RmsNormResult RmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon,
                      bool unit_offset) {
  if (!OnCpu({x, weight})) return generic::RmsNorm(x, weight, epsilon, unit_offset);
  RmsNormResult result{at::empty_like(x), at::empty({x.size(0), 1}, x.options().dtype(at::kFloat))};
  ForRows(x, x.size(0), x.size(1), [&]<typename T>(T, cpu::Rows rows) {
    cpu::RmsNorm(cpu::RmsNormArgs<T>{Data<T>(x), Data<T>(weight), Data<T>(result.y),
                                     Data<float>(result.inverse_rms), static_cast<float>(epsilon),
                                     unit_offset},
                 rows);
  });
  return result;
}

at::Tensor RmsNormAgain(const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& inverse_rms, bool unit_offset) {
  if (!OnCpu({x, weight})) return generic::RmsNormAgain(x, weight, inverse_rms, unit_offset);
  at::Tensor y = at::empty_like(x);
  ForRows(x, x.size(0), x.size(1), [&]<typename T>(T, cpu::Rows rows) {
    cpu::RmsNormAgain(cpu::RmsNormArgs<T>{Data<T>(x), Data<T>(weight), Data<T>(y),
                                          Data<float>(inverse_rms), /*epsilon=*/0, unit_offset},
                      rows);
  });
  return y;
}

at::Tensor RmsNormInputGrad(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& inverse_rms, bool unit_offset) {
  if (!OnCpu({dy, x, weight}))
    return generic::RmsNormInputGrad(dy, x, weight, inverse_rms, unit_offset);
  at::Tensor dx = at::empty_like(x);
  ForRows(x, x.size(0), x.size(1), [&]<typename T>(T, cpu::Rows rows) {
    cpu::RmsNormGrad(cpu::RmsNormGradArgs<T>{Data<T>(dy), Data<T>(x), Data<T>(weight),
                                             Data<float>(inverse_rms), Data<T>(dx), unit_offset},
                     rows);
  });
  return dx;
}

at::Tensor RmsNormWeightGrad(const at::Tensor& dy, const at::Tensor& x,
                             const at::Tensor& inverse_rms) {
  return generic::RmsNormWeightGrad(dy, x, inverse_rms);
}

at::Tensor Glu(const at::Tensor& gate_up, Activation activation) {
  if (!OnCpu({gate_up})) return generic::Glu(gate_up, activation);
  at::Tensor y = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  ForRows(y, y.size(0), y.size(1), [&]<typename T>(T, cpu::Rows rows) {
    activation == Activation::kSilu ? cpu::SwiGlu(Data<T>(gate_up), Data<T>(y), rows)
                                    : cpu::GeGlu(Data<T>(gate_up), Data<T>(y), rows);
  });
  return y;
}

at::Tensor GluGrad(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation) {
  if (!OnCpu({dy, gate_up})) return generic::GluGrad(dy, gate_up, activation);
  at::Tensor grad = at::empty_like(gate_up);
  ForRows(dy, dy.size(0), dy.size(1), [&]<typename T>(T, cpu::Rows rows) {
    activation == Activation::kSilu
        ? cpu::SwiGluGrad(Data<T>(dy), Data<T>(gate_up), Data<T>(grad), rows)
        : cpu::GeGluGrad(Data<T>(dy), Data<T>(gate_up), Data<T>(grad), rows);
  });
  return grad;
}

namespace {

void Rotate(const at::Tensor& qkv, int64_t heads, int64_t head_dim, const RopeAngles& angles,
            float sign) {
  const at::Tensor& cos = angles.cos;
  if (!OnCpu({qkv}) || !OnCpu({cos, angles.sin}))
    return generic::RotateInPlace(qkv, heads, head_dim, angles, sign);
  const int64_t angle_rows = cos.size(0) * cos.size(1);
  ForRows(qkv, qkv.size(0), qkv.size(1), [&]<typename T>(T, cpu::Rows rows) {
    cpu::Rotate(cpu::RotateArgs<T>{Data<T>(qkv), Data<float>(cos), Data<float>(angles.sin),
                                   angle_rows, heads, head_dim, cos.size(2), sign},
                rows);
  });
}

}  // namespace

void RotateInPlace(const at::Tensor& qkv, int64_t heads, int64_t head_dim,
                   const RopeAngles& angles) {
  Rotate(qkv, heads, head_dim, angles, 1);
}

void RotateGradInPlace(const at::Tensor& dqkv, int64_t heads, int64_t head_dim,
                       const RopeAngles& angles) {
  Rotate(dqkv, heads, head_dim, angles, -1);
}

at::Tensor CausalSoftmaxInPlace(at::Tensor& scores, const CausalRows& causal) {
  if (!OnCpu({scores})) return generic::CausalSoftmaxInPlace(scores, causal);
  at::Tensor logsumexp =
      at::empty({scores.size(0), scores.size(1)}, scores.options().dtype(at::kFloat));
  ForRows(
      scores, scores.size(0) * scores.size(1), scores.size(2), [&]<typename T>(T, cpu::Rows rows) {
        cpu::CausalSoftmax(cpu::SoftmaxArgs<T>{Data<T>(scores), Data<float>(logsumexp),
                                               scores.size(1), causal.first_position, causal.group,
                                               static_cast<float>(causal.scale), causal.window},
                           rows);
      });
  return logsumexp;
}

void CausalSoftmaxAgainInPlace(at::Tensor& scores, const at::Tensor& logsumexp,
                               const CausalRows& causal) {
  if (!OnCpu({scores})) return generic::CausalSoftmaxAgainInPlace(scores, logsumexp, causal);
  const at::Tensor known = logsumexp.contiguous();
  ForRows(scores, scores.size(0) * scores.size(1), scores.size(2),
          [&]<typename T>(T, cpu::Rows rows) {
            cpu::CausalSoftmaxAgain(
                cpu::SoftmaxArgs<T>{Data<T>(scores), Data<float>(known), scores.size(1),
                                    causal.first_position, causal.group,
                                    static_cast<float>(causal.scale), causal.window},
                rows);
          });
}

void SoftmaxGradInPlace(at::Tensor& dweights, const at::Tensor& weights, const at::Tensor& delta,
                        double scale) {
  if (!OnCpu({dweights, weights}))
    return generic::SoftmaxGradInPlace(dweights, weights, delta, scale);
  const at::Tensor known = delta.contiguous();
  ForRows(weights, weights.size(0) * weights.size(1), weights.size(2),
          [&]<typename T>(T, cpu::Rows rows) {
            cpu::SoftmaxGrad(Data<T>(dweights), Data<T>(weights), Data<float>(known),
                             static_cast<float>(scale), rows);
          });
}

void SoftcapInPlace(at::Tensor& values, double scale, double cap) {
  values.copy_(values.to(at::kFloat).mul(scale / cap).tanh_().mul_(cap));
}

void SoftcapGradInPlace(at::Tensor& grad, const at::Tensor& capped, double scale, double cap) {
  grad.copy_(capped.to(at::kFloat).div(cap).square_().neg_().add_(1).mul_(scale).mul_(grad));
}

at::Tensor CrossEntropyInPlace(at::Tensor& logits, const at::Tensor& targets, bool want_grad) {
  if (!OnCpu({logits}) || !targets.is_contiguous())
    return generic::CrossEntropyInPlace(logits, targets, want_grad);
  at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  ForRows(logits, logits.size(0), logits.size(1), [&]<typename T>(T, cpu::Rows rows) {
    cpu::CrossEntropy(Data<T>(logits), Data<int64_t>(targets), Data<float>(losses), want_grad,
                      rows);
  });
  return losses.sum();
}

}  // namespace dropbp::trainer
