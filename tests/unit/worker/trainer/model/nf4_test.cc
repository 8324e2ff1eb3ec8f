#include "worker/trainer/model/nf4.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

#include "worker/trainer/model/linear_weight.h"

namespace dropbp::trainer {
namespace {

at::Tensor Dequantized(const Nf4Matrix& matrix, at::ScalarType dtype) {
  at::Tensor values = at::empty({matrix.rows(), matrix.width()}, dtype);
  matrix.DequantizeRows(0, matrix.rows(), values);
  return values;
}

// Rows begin within blocks and within bytes.
TEST(Nf4Test, RowsEqualThoseOfTheWholeBitForBit) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({37, 75});
  for (bool double_quant : {false, true}) {
    const Nf4Matrix matrix =
        Nf4Matrix::Quantize(weight, {.block_size = 32, .double_quant = double_quant}, at::kCPU);
    for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const at::Tensor whole = Dequantized(matrix, dtype);
      for (const auto& [begin, end] : {std::pair(0, 37), std::pair(3, 4), std::pair(11, 37)}) {
        at::Tensor rows = at::empty({end - begin, 75}, dtype);
        matrix.DequantizeRows(begin, end, rows);
        EXPECT_TRUE(at::equal(rows, whole.slice(0, begin, end)));
      }
    }
  }
}

TEST(Nf4Test, AGpuMakesTheBitsOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU on this machine";
  at::manual_seed(2);
  for (const int64_t width : {75, 128}) {
    const at::Tensor weight = at::randn({37, width});
    for (bool double_quant : {false, true}) {
      const QloraSpec options{.block_size = 32, .double_quant = double_quant};
      const Nf4Matrix matrix = Nf4Matrix::Quantize(weight, options, at::kCPU);
      const Nf4Matrix on_gpu = Nf4Matrix::Quantize(weight, options, at::Device("cuda:0"));
      for (at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
        for (const auto& [begin, end] : {std::pair(0, 37), std::pair(3, 4), std::pair(11, 37)}) {
          at::Tensor rows = at::empty({end - begin, width}, dtype);
          matrix.DequantizeRows(begin, end, rows);
          at::Tensor gpu_rows = at::empty_like(rows, rows.options().device(at::kCUDA));
          on_gpu.DequantizeRows(begin, end, gpu_rows);
          EXPECT_TRUE(at::equal(gpu_rows.cpu(), rows));
        }
      }
    }
  }
}

TEST(Nf4Test, ValuesAreNearTheWeightsAndTheirLargestIsExact) {
  at::manual_seed(2);
  const at::Tensor weight = at::randn({64, 64});
  const Nf4Matrix matrix = Nf4Matrix::Quantize(weight, {.double_quant = false}, at::kCPU);
  const at::Tensor values = Dequantized(matrix, at::kFloat);
  const at::Tensor largest = weight.abs().amax({1}, /*keepdim=*/true);
  EXPECT_TRUE(at::equal(values.abs().amax({1}, true), largest));
  // The widest gap of the type is 0.304 of the scale.
  EXPECT_LE(((values - weight).abs() / largest).max().item<double>(), 0.153);
  EXPECT_EQ(matrix.bytes(), 64 * 64 / 2 + 64 * 4);
}

// More elements than are dense at a time, in two matrices.
TEST(LinearWeightTest, ProductsInBlocksEqualThoseWithTheDenseWeight) {
  at::manual_seed(3);
  std::vector<Nf4Matrix> parts;
  std::vector<at::Tensor> dense;
  for (int64_t rows : {2500, 2600}) {
    parts.push_back(Nf4Matrix::Quantize(at::randn({rows, 4096}), {}, at::kCPU));
    dense.push_back(Dequantized(parts.back(), at::kFloat));
  }
  const at::Tensor joined = at::cat(dense);
  const LinearWeight weight(parts, at::kFloat);
  const at::Tensor bias = at::randn({5100});
  const at::Tensor x = at::randn({3, 4096});
  EXPECT_TRUE(at::allclose(weight.Forward(x, bias), at::addmm(bias, x, joined.t()), 1e-4, 1e-3));
  const at::Tensor dy = at::randn({3, 5100});
  EXPECT_TRUE(at::allclose(weight.InputGrad(dy), at::mm(dy, joined), 1e-4, 1e-3));
  EXPECT_TRUE(at::allclose(weight.RowSquares(), joined.square().sum(1), 1e-4));
}

}  // namespace
}  // namespace dropbp::trainer
