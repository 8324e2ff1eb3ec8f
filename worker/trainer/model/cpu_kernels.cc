// Note [Vector units]: the bodies are templates that are inlined into one function for each dtype,
// and the compiler makes a clone of that function for each instruction set below; the loader picks
// one. This file is compiled with -ffast-math, which lets sums be split over lanes and exp be taken
// from libmvec.
#include "worker/trainer/model/cpu_kernels.h"

#include <bit>
#include <cmath>

// Elements of a row do not depend on one another, whatever the pointers may look like.
#define INDEPENDENT _Pragma("GCC ivdep")
#define INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define VECTOR_CLONES [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#define VECTOR_CLONES
#endif

// One clone family for each dtype.
#define FOR_BOTH_DTYPES(Name, Args)                                                       \
  VECTOR_CLONES void Name(const Args<float>& args, Rows rows) { Name##Rows(args, rows); } \
  VECTOR_CLONES void Name(const Args<Bf16>& args, Rows rows) { Name##Rows(args, rows); }

namespace dropbp::trainer::cpu {
namespace {

INLINE float Load(float value) { return value; }
INLINE float Load(Bf16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

INLINE void Store(float value, float& to) { to = value; }
// Rounds to nearest, ties to even.
INLINE void Store(float value, Bf16& to) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  to.bits = static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// To T and back; what is done with the result stays a later step, also under -ffast-math.
template <typename T>
INLINE float Rounded(float value) {
  T rounded;
  Store(value, rounded);
  return __builtin_assoc_barrier(Load(rounded));
}

template <typename T>
INLINE void NormalizeRow(const RmsNormArgs<T>& args, int64_t first, float inverse_rms,
                         int64_t width) {
  const T* x = args.x + first;
  const T* weight = args.weight;
  T* y = args.y + first;
  if (args.unit_offset) {
    INDEPENDENT
    for (int64_t i = 0; i < width; ++i)
      Store(Load(x[i]) * inverse_rms * (1 + Load(weight[i])), y[i]);
    return;
  }
  INDEPENDENT
  for (int64_t i = 0; i < width; ++i)
    Store(Rounded<T>(Load(x[i]) * inverse_rms) * Load(weight[i]), y[i]);
}

template <typename T>
INLINE void RmsNormRows(const RmsNormArgs<T>& args, Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const T* x = args.x + row * rows.width;
    float squares = 0;
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i) squares += Load(x[i]) * Load(x[i]);
    const float inverse_rms =
        1 / std::sqrt(squares / static_cast<float>(rows.width) + args.epsilon);
    args.inverse_rms[row] = inverse_rms;
    NormalizeRow(args, row * rows.width, inverse_rms, rows.width);
  }
}

template <typename T>
INLINE void RmsNormAgainRows(const RmsNormArgs<T>& args, Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    NormalizeRow(args, row * rows.width, args.inverse_rms[row], rows.width);
  }
}

template <typename T>
INLINE void RmsNormGradRows(const RmsNormGradArgs<T>& args, Rows rows) {
  const float offset = args.unit_offset ? 1 : 0;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t first = row * rows.width;
    const T* dy = args.dy + first;
    const T* x = args.x + first;
    T* dx = args.dx + first;
    const float inverse_rms = args.inverse_rms[row];
    float projection = 0;
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i)
      projection += Load(dy[i]) * (offset + Load(args.weight[i])) * Load(x[i]);
    // mean(dy * weight * normalized) * inverse_rms, so that it multiplies x itself.
    projection *= inverse_rms * inverse_rms / static_cast<float>(rows.width);
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i) {
      const float weighted = Load(dy[i]) * (offset + Load(args.weight[i]));
      Store((weighted - Load(x[i]) * projection) * inverse_rms, dx[i]);
    }
  }
}

// 1 / sigmoid(x), kept finite: dividing by infinity is no number under -ffast-math.
INLINE float InverseSigmoid(float x) { return 1 + std::exp(-std::fmax(x, -80.0f)); }

// Activations of a gate, and their values with derivatives.
struct ValueAndSlope {
  float value;
  float slope;
};

struct Silu {
  INLINE static float Value(float g) { return g / InverseSigmoid(g); }
  INLINE static ValueAndSlope Both(float g) {
    const float sigmoid = 1 / InverseSigmoid(g);
    const float silu = g * sigmoid;
    return {silu, sigmoid + silu * (1 - sigmoid)};
  }
};

// 0.5 g (1 + tanh(u)) with u = sqrt(2 / pi) (g + 0.044715 g^3), which is g sigmoid(2 u).
struct GeluTanh {
  static constexpr float kTwice = 1.5957691216057308f;  // 2 sqrt(2 / pi)
  static constexpr float kCubic = 0.044715f;
  INLINE static float Argument(float g) { return kTwice * g * (1 + kCubic * g * g); }
  INLINE static float Value(float g) { return g / InverseSigmoid(Argument(g)); }
  INLINE static ValueAndSlope Both(float g) {
    const float sigmoid = 1 / InverseSigmoid(Argument(g));
    const float value = g * sigmoid;
    return {value, sigmoid + value * (1 - sigmoid) * kTwice * (1 + 3 * kCubic * g * g)};
  }
};

template <typename Activation, typename T>
INLINE void GluRows(const T* gate_up, T* y, Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const T* gate = gate_up + 2 * row * rows.width;
    const T* up = gate + rows.width;
    T* out = y + row * rows.width;
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i)
      Store(Rounded<T>(Activation::Value(Load(gate[i]))) * Load(up[i]), out[i]);
  }
}

template <typename Activation, typename T>
INLINE void GluGradRows(const T* dy, const T* gate_up, T* dgate_up, Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t first = 2 * row * rows.width;
    const T* gate = gate_up + first;
    const T* up = gate + rows.width;
    const T* d = dy + row * rows.width;
    T* dgate = dgate_up + first;
    T* dup = dgate + rows.width;
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i) {
      const ValueAndSlope activation = Activation::Both(Load(gate[i]));
      Store(Load(d[i]) * activation.value, dup[i]);
      Store(Load(d[i]) * Load(up[i]) * activation.slope, dgate[i]);
    }
  }
}

template <typename T>
INLINE void RotateRows(const RotateArgs<T>& args, Rows rows) {
  const int64_t half = args.pairs;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const float* cos = args.cos + row % args.angle_rows * half;
    const float* sin = args.sin + row % args.angle_rows * half;
    for (int64_t head = 0; head < args.heads; ++head) {
      T* first = args.x + row * rows.width + head * args.head_dim;
      T* second = first + half;
      INDEPENDENT
      for (int64_t i = 0; i < half; ++i) {
        const float a = Load(first[i]);
        const float b = Load(second[i]);
        const float s = args.sign * sin[i];
        Store(a * cos[i] - b * s, first[i]);
        Store(b * cos[i] + a * s, second[i]);
      }
    }
  }
}

// Keys [begin, end) that a row sees.
struct VisibleKeys {
  template <typename T>
  INLINE VisibleKeys(const SoftmaxArgs<T>& args, int64_t row)
      : begin(0), end(args.first_position + row % args.block_rows / args.group + 1) {
    if (args.window > 0 && end > args.window) begin = end - args.window;
  }

  int64_t begin;
  int64_t end;
};

template <typename T>
INLINE void WeightsOfRow(T* scores, float scale, float logsumexp, VisibleKeys visible,
                         int64_t width) {
  for (int64_t i = 0; i < visible.begin; ++i) Store(0, scores[i]);
  INDEPENDENT
  for (int64_t i = visible.begin; i < visible.end; ++i)
    Store(std::exp(Load(scores[i]) * scale - logsumexp), scores[i]);
  INDEPENDENT
  for (int64_t i = visible.end; i < width; ++i) Store(0, scores[i]);
}

template <typename T>
INLINE float LogSumExp(const T* values, float scale, int64_t count) {
  float largest = Load(values[0]);
  INDEPENDENT
  for (int64_t i = 1; i < count; ++i) largest = std::fmax(largest, Load(values[i]));
  largest *= scale;
  float sum = 0;
  INDEPENDENT
  for (int64_t i = 0; i < count; ++i) sum += std::exp(Load(values[i]) * scale - largest);
  return largest + std::log(sum);
}

template <typename T>
INLINE void CausalSoftmaxRows(const SoftmaxArgs<T>& args, Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    T* scores = args.scores + row * rows.width;
    const VisibleKeys visible(args, row);
    args.logsumexp[row] =
        LogSumExp(scores + visible.begin, args.scale, visible.end - visible.begin);
    WeightsOfRow(scores, args.scale, args.logsumexp[row], visible, rows.width);
  }
}

template <typename T>
INLINE void CausalSoftmaxAgainRows(const SoftmaxArgs<T>& args, Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    WeightsOfRow(args.scores + row * rows.width, args.scale, args.logsumexp[row],
                 VisibleKeys(args, row), rows.width);
  }
}

template <typename T>
INLINE void SoftmaxGradRows(T* dweights, const T* weights, const float* delta, float scale,
                            Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    T* d = dweights + row * rows.width;
    const T* w = weights + row * rows.width;
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i)
      Store(Load(w[i]) * (Load(d[i]) - delta[row]) * scale, d[i]);
  }
}

template <typename T>
INLINE void CrossEntropyRows(T* logits, const int64_t* targets, float* losses, bool want_grad,
                             Rows rows) {
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    T* own = logits + row * rows.width;
    const float logsumexp = LogSumExp(own, 1, rows.width);
    const float target = Load(own[targets[row]]);
    losses[row] = logsumexp - target;
    if (!want_grad) continue;
    INDEPENDENT
    for (int64_t i = 0; i < rows.width; ++i) Store(std::exp(Load(own[i]) - logsumexp), own[i]);
    Store(std::exp(target - logsumexp) - 1, own[targets[row]]);
  }
}

}  // namespace

FOR_BOTH_DTYPES(RmsNorm, RmsNormArgs)
FOR_BOTH_DTYPES(RmsNormAgain, RmsNormArgs)
FOR_BOTH_DTYPES(RmsNormGrad, RmsNormGradArgs)
FOR_BOTH_DTYPES(Rotate, RotateArgs)
FOR_BOTH_DTYPES(CausalSoftmax, SoftmaxArgs)
FOR_BOTH_DTYPES(CausalSoftmaxAgain, SoftmaxArgs)

VECTOR_CLONES void SwiGlu(const float* gate_up, float* y, Rows rows) {
  GluRows<Silu>(gate_up, y, rows);
}
VECTOR_CLONES void SwiGlu(const Bf16* gate_up, Bf16* y, Rows rows) {
  GluRows<Silu>(gate_up, y, rows);
}

VECTOR_CLONES void SwiGluGrad(const float* dy, const float* gate_up, float* dgate_up, Rows rows) {
  GluGradRows<Silu>(dy, gate_up, dgate_up, rows);
}
VECTOR_CLONES void SwiGluGrad(const Bf16* dy, const Bf16* gate_up, Bf16* dgate_up, Rows rows) {
  GluGradRows<Silu>(dy, gate_up, dgate_up, rows);
}

VECTOR_CLONES void GeGlu(const float* gate_up, float* y, Rows rows) {
  GluRows<GeluTanh>(gate_up, y, rows);
}
VECTOR_CLONES void GeGlu(const Bf16* gate_up, Bf16* y, Rows rows) {
  GluRows<GeluTanh>(gate_up, y, rows);
}

VECTOR_CLONES void GeGluGrad(const float* dy, const float* gate_up, float* dgate_up, Rows rows) {
  GluGradRows<GeluTanh>(dy, gate_up, dgate_up, rows);
}
VECTOR_CLONES void GeGluGrad(const Bf16* dy, const Bf16* gate_up, Bf16* dgate_up, Rows rows) {
  GluGradRows<GeluTanh>(dy, gate_up, dgate_up, rows);
}

VECTOR_CLONES void SoftmaxGrad(float* dweights, const float* weights, const float* delta,
                               float scale, Rows rows) {
  SoftmaxGradRows(dweights, weights, delta, scale, rows);
}
VECTOR_CLONES void SoftmaxGrad(Bf16* dweights, const Bf16* weights, const float* delta, float scale,
                               Rows rows) {
  SoftmaxGradRows(dweights, weights, delta, scale, rows);
}

VECTOR_CLONES void CrossEntropy(float* logits, const int64_t* targets, float* losses,
                                bool want_grad, Rows rows) {
  CrossEntropyRows(logits, targets, losses, want_grad, rows);
}
VECTOR_CLONES void CrossEntropy(Bf16* logits, const int64_t* targets, float* losses, bool want_grad,
                                Rows rows) {
  CrossEntropyRows(logits, targets, losses, want_grad, rows);
}

}  // namespace dropbp::trainer::cpu
