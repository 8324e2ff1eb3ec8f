// The kernel of the GPU, compiled for the CPU and run one thread after the other, makes the bits of
// the CPU's own. Free of torch.
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <random>
#include <vector>

#include "worker/trainer/model/nf4_kernels.h"

// What CUDA has and C++ has not, as far as the kernel uses it.
#define __device__ static
#define __global__
namespace {
struct Index {
  unsigned x = 0;
} blockIdx, blockDim, threadIdx;
// A value that is stored is not contracted.
float __fmul_rn(float a, float b) {
  volatile float product = a * b;
  return product;
}
float __fadd_rn(float a, float b) {
  volatile float sum = a + b;
  return sum;
}
unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
}  // namespace
#include "worker/trainer/model/nf4_dequantize.cu"

namespace dropbp::trainer {
namespace {

struct Quantized {
  std::vector<uint8_t> codes, nested_codes;
  std::vector<float> absmax, nested_absmax;
  cpu::Nf4View view;
};

Quantized Quantize(int64_t count, int64_t block_size, bool nested) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  const int64_t blocks = (count + block_size - 1) / block_size;
  Quantized made{.codes = std::vector<uint8_t>(static_cast<size_t>(count + 1) / 2),
                 .nested_codes = std::vector<uint8_t>(static_cast<size_t>(blocks)),
                 .absmax = std::vector<float>(static_cast<size_t>(blocks)),
                 .nested_absmax = std::vector<float>(static_cast<size_t>(blocks / 256 + 1)),
                 .view = {}};
  cpu::QuantizeNf4({values.data(), count, block_size, made.codes.data(), made.absmax.data()}, 0,
                   blocks);
  constexpr float kOffset = 2.25f;
  made.view = {made.codes.data(), block_size, made.absmax.data(), nullptr, nullptr, 0};
  if (!nested) return made;
  for (float& scale : made.absmax) scale -= kOffset;
  cpu::QuantizeNested(
      {made.absmax.data(), blocks, made.nested_codes.data(), made.nested_absmax.data()});
  made.view = {made.codes.data(),         block_size, nullptr, made.nested_codes.data(),
               made.nested_absmax.data(), kOffset};
  return made;
}

// As nf4_cuda.cc launches it, with blocks of `threads`.
template <typename T, typename Kernel>
std::vector<T> Launch(Kernel kernel, const cpu::Nf4View& view, int64_t begin, int64_t end,
                      unsigned threads) {
  std::vector<T> out(static_cast<size_t>(end - begin) + 1);
  const int shift = std::countr_zero(static_cast<uint64_t>(view.block_size));
  const auto wanted = static_cast<unsigned>((end + 7) / 8 - begin / 8);
  blockDim.x = threads;
  for (blockIdx.x = 0; blockIdx.x * threads < wanted; ++blockIdx.x) {
    for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) {
      kernel(view.codes, shift, view.absmax, view.nested_codes, view.nested_absmax, view.offset,
             cpu::kNf4Values, cpu::DynamicValues(), begin, end, out.data());
    }
  }
  EXPECT_EQ(out.back(), T{}) << "nothing behind the last element";
  out.pop_back();
  return out;
}

struct Range {
  int64_t begin, end;
};

class Nf4DequantizeTest : public ::testing::TestWithParam<Range> {};

TEST_P(Nf4DequantizeTest, MakesTheBitsOfTheCpu) {
  const auto [begin, end] = GetParam();
  const auto count = static_cast<size_t>(end - begin);
  for (const int64_t block_size : {32, 64}) {
    for (const bool nested : {false, true}) {
      const Quantized made = Quantize(20001, block_size, nested);
      std::vector<float> floats(count);
      cpu::DequantizeNf4(made.view, begin, end, floats.data());
      EXPECT_EQ(Launch<float>(DequantizeNf4ToFloat, made.view, begin, end, 32), floats);
      std::vector<cpu::Bf16> halves(count);
      cpu::DequantizeNf4(made.view, begin, end, halves.data());
      const auto bits = Launch<unsigned short>(DequantizeNf4ToBfloat16, made.view, begin, end, 64);
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(bits[i], halves[i].bits) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranges, Nf4DequantizeTest,
                         ::testing::Values(Range{0, 20001}, Range{0, 16384}, Range{8, 4096},
                                           Range{3, 5}, Range{75, 975}, Range{19999, 20001}));

}  // namespace
}  // namespace dropbp::trainer
