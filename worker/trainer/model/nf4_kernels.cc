// This file is compiled without contraction: bitsandbytes rounds after each operation, and so must
// this, also where one instruction could multiply and add.
#include "worker/trainer/model/nf4_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#define INLINE [[gnu::always_inline]] inline
#if defined(__x86_64__)
#define VECTOR_CLONES [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#define VECTOR_CLONES
#endif

namespace dropbp::trainer::cpu {

const float kNf4Values[16] = {-1.0f,
                              -0.6961928009986877f,
                              -0.5250730514526367f,
                              -0.39491748809814453f,
                              -0.28444138169288635f,
                              -0.18477343022823334f,
                              -0.09105003625154495f,
                              0.0f,
                              0.07958029955625534f,
                              0.16093020141124725f,
                              0.24611230194568634f,
                              0.33791524171829224f,
                              0.44070982933044434f,
                              0.5626170039176941f,
                              0.7229568362236023f,
                              1.0f};

namespace {

// What bitsandbytes divides by where a block is all zeros.
constexpr float kLeastAbsmax = 1e-38f;

struct Bounds {
  float values[15];
};

// Halfway between neighbours. A value on a bound goes to the lower neighbour.
Bounds MakeBounds() {
  Bounds bounds;
  for (int i = 0; i < 15; ++i) bounds.values[i] = (kNf4Values[i] + kNf4Values[i + 1]) / 2;
  return bounds;
}

// The largest |x|. Bits of non-negative floats are in the order of their values.
INLINE float AbsMax(const float* x, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  return std::bit_cast<float>(largest);
}

INLINE uint8_t CodeOf(float scaled, const Bounds& bounds) {
  int code = 0;
  for (int i = 0; i < 15; ++i) code += scaled > bounds.values[i] ? 1 : 0;
  return static_cast<uint8_t>(code);
}

// A whole block is multiplied by the reciprocal of its absmax, a shorter last one is divided by it.
INLINE void QuantizeBlock(const Nf4Args& args, int64_t block, const Bounds& bounds) {
  const int64_t first = block * args.block_size;
  const int64_t count = std::min(args.block_size, args.count - first);
  const float* x = args.values + first;
  const bool whole = count == args.block_size;
  const float absmax = AbsMax(x, count);
  const float divisor = std::max(absmax, kLeastAbsmax);
  const float factor = 1.0f / divisor;
  args.absmax[block] = whole ? absmax : divisor;
  uint8_t* codes = args.codes + first / 2;
  for (int64_t i = 0; i + 1 < count; i += 2) {
    const float high = whole ? x[i] * factor : x[i] / divisor;
    const float low = whole ? x[i + 1] * factor : x[i + 1] / divisor;
    codes[i / 2] = static_cast<uint8_t>(CodeOf(high, bounds) << 4 | CodeOf(low, bounds));
  }
  // bitsandbytes fills the last byte up with the code of zero.
  if (count % 2 != 0) {
    const float high = whole ? x[count - 1] * factor : x[count - 1] / divisor;
    codes[count / 2] = static_cast<uint8_t>(CodeOf(high, bounds) << 4 | CodeOf(0, bounds));
  }
}

// linspace(0.1, 1, points) as torch computes it in fp32: the first half from below, the other from
// above, each point rounded once.
std::vector<float> Boundaries(int points) {
  std::vector<float> boundaries(points);
  const float step = (1.0f - 0.1f) / static_cast<float>(points - 1);
  for (int i = 0; i < points; ++i) {
    boundaries[i] = i < points / 2 ? std::fma(step, static_cast<float>(i), 0.1f)
                                   : std::fma(-step, static_cast<float>(points - i - 1), 1.0f);
  }
  return boundaries;
}

// Seven decades; the decade below 10^-k has 2^(6 - k) linear steps of either sign. Zero and one
// besides.
std::vector<float> MakeDynamicValues() {
  constexpr int kDecades = 7;
  std::vector<float> values = {0.0f, 1.0f};
  for (int decade = 0; decade < kDecades; ++decade) {
    const std::vector<float> boundaries = Boundaries((1 << decade) + 1);
    const double scale = std::pow(10.0, decade - (kDecades - 1));
    for (size_t i = 0; i + 1 < boundaries.size(); ++i) {
      const float mean = (boundaries[i] + boundaries[i + 1]) / 2.0f;
      const float value = static_cast<float>(scale) * mean;
      values.push_back(value);
      values.push_back(-value);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

constexpr int kGrid = 65536;

// Nearest dynamic value of each of 65536 equidistant points in [-1, 1]: what bitsandbytes looks
// values up in, after rounding them to the grid.
std::vector<uint8_t> MakeNearest() {
  const float* values = DynamicValues();
  std::vector<uint8_t> nearest(kGrid);
  int code = 0;
  for (int i = 0; i < kGrid; ++i) {
    const float point = -1.0f + (2.0f * static_cast<float>(i)) / static_cast<float>(kGrid - 1);
    while (code < 255 && 0.5f * (values[code] + values[code + 1]) < point) ++code;
    nearest[i] = static_cast<uint8_t>(code);
  }
  return nearest;
}

INLINE float ScaleOf(const Nf4View& view, const float* dynamic_values, int64_t block) {
  if (view.absmax != nullptr) return view.absmax[block];
  const float nested =
      dynamic_values[view.nested_codes[block]] * view.nested_absmax[block / kNestedBlock];
  return nested + view.offset;
}

INLINE void Store(float value, float& to) { to = value; }
// Rounds to nearest, ties to even.
INLINE void Store(float value, Bf16& to) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  to.bits = static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

INLINE int CodeAt(const uint8_t* codes, int64_t element) {
  return element % 2 == 0 ? codes[element / 2] >> 4 : codes[element / 2] & 15;
}

// Eight bytes hold sixteen codes: each lane takes the four bytes that its code is in, shifts it
// down, and picks its value from one register.
#if defined(__x86_64__)
typedef uint32_t Lanes __attribute__((vector_size(64)));
typedef float FloatLanes __attribute__((vector_size(64)));
typedef uint16_t HalfLanes __attribute__((vector_size(32)));

template <typename T>
[[gnu::target("avx512f")]] inline void DequantizeSixteen(const uint8_t* codes, FloatLanes values,
                                                         float scale, T* out) {
  uint32_t words[2];
  __builtin_memcpy(words, codes, sizeof(words));
  const uint32_t a = words[0], b = words[1];
  const Lanes spread = {a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b};
  constexpr Lanes kShift = {4, 0, 12, 8, 20, 16, 28, 24, 4, 0, 12, 8, 20, 16, 28, 24};
  const FloatLanes product = __builtin_shuffle(values, (spread >> kShift) & 15) * scale;
  if constexpr (sizeof(T) == sizeof(float)) {
    __builtin_memcpy(out, &product, sizeof(product));
  } else {
    Lanes bits;
    __builtin_memcpy(&bits, &product, sizeof(bits));
    const HalfLanes rounded =
        __builtin_convertvector((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, HalfLanes);
    __builtin_memcpy(out, &rounded, sizeof(rounded));
  }
}

template <typename T>
[[gnu::target("avx512f")]] void DequantizeRunWide(const uint8_t* codes, int64_t count, float scale,
                                                  T* out) {
  FloatLanes values;
  __builtin_memcpy(&values, kNf4Values, sizeof(values));
  for (int64_t i = 0; i < count; i += 16) DequantizeSixteen(codes + i / 2, values, scale, out + i);
}
#endif

// `count` elements, a multiple of 16, from the beginning of a byte on.
template <typename T>
INLINE void DequantizeRun(const uint8_t* codes, int64_t count, float scale, T* out) {
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx512f");
  if (wide) return DequantizeRunWide(codes, count, scale, out);
#endif
  for (int64_t i = 0; i < count; i += 2) {
    Store(kNf4Values[codes[i / 2] >> 4] * scale, out[i]);
    Store(kNf4Values[codes[i / 2] & 15] * scale, out[i + 1]);
  }
}

template <typename T>
void DequantizeElements(const Nf4View& view, int64_t begin, int64_t end, T* out) {
  const float* dynamic_values = DynamicValues();
  for (int64_t i = begin; i < end;) {
    const int64_t block = i / view.block_size;
    const int64_t block_end = std::min(end, (block + 1) * view.block_size);
    const float scale = ScaleOf(view, dynamic_values, block);
    if (i % 2 == 0) {
      const int64_t run = (block_end - i) / 16 * 16;
      DequantizeRun(view.codes + i / 2, run, scale, out + (i - begin));
      i += run;
    }
    for (; i < block_end; ++i) {
      Store(kNf4Values[CodeAt(view.codes, i)] * scale, out[i - begin]);
    }
  }
}

}  // namespace

const float* DynamicValues() {
  static const auto& values = *new std::vector<float>(MakeDynamicValues());
  return values.data();
}

VECTOR_CLONES void QuantizeNf4(const Nf4Args& args, int64_t begin, int64_t end) {
  const Bounds bounds = MakeBounds();
  for (int64_t block = begin; block < end; ++block) QuantizeBlock(args, block, bounds);
}

void QuantizeNested(const NestedArgs& args) {
  static const auto& nearest = *new std::vector<uint8_t>(MakeNearest());
  for (int64_t first = 0; first < args.count; first += kNestedBlock) {
    const int64_t end = std::min(first + kNestedBlock, args.count);
    const float absmax = AbsMax(args.values + first, end - first);
    args.absmax[first / kNestedBlock] = absmax;
    const float factor = 1.0f / absmax;
    for (int64_t i = first; i < end; ++i) {
      const float scaled = std::clamp(args.values[i] * factor, -1.0f, 1.0f);
      const float point = (scaled + 1.0f) * 0.5f * static_cast<float>(kGrid - 1) + 0.5f;
      args.codes[i] = absmax == 0 ? 0 : nearest[static_cast<int>(point)];
    }
  }
}

void DequantizeNf4(const Nf4View& view, int64_t begin, int64_t end, float* out) {
  DequantizeElements(view, begin, end, out);
}
void DequantizeNf4(const Nf4View& view, int64_t begin, int64_t end, Bf16* out) {
  DequantizeElements(view, begin, end, out);
}

}  // namespace dropbp::trainer::cpu
