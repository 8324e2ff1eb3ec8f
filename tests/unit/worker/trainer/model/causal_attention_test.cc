#include "worker/trainer/model/causal_attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <optional>

namespace dropbp::trainer {
namespace {

// Attention and its gradient by ATen's own kernel and autograd, in fp32.
struct Expected {
  at::Tensor out;
  at::Tensor dqkv;
};

Expected Reference(const at::Tensor& qkv, const at::Tensor& dout, const AttentionDims& dims) {
  const at::Tensor leaf = qkv.to(at::kFloat).detach().requires_grad_(true);
  const QkvViews views = SplitQkv(leaf, dims);
  const at::Tensor mixed =
      at::scaled_dot_product_attention(views.queries.transpose(1, 2), views.keys.transpose(1, 2),
                                       views.values.transpose(1, 2), std::nullopt, 0.0,
                                       /*is_causal=*/true, std::nullopt, /*enable_gqa=*/true);
  const at::Tensor out = mixed.transpose(1, 2).reshape(dout.sizes());
  out.backward(dout.to(at::kFloat));
  return {out.detach(), leaf.grad()};
}

void ExpectEqualsReference(const AttentionDims& dims, at::ScalarType dtype, double tolerance) {
  at::manual_seed(3);
  const int64_t rows = dims.batch * dims.sequence;
  const at::Tensor qkv =
      at::randn({rows, (dims.heads + 2 * dims.kv_heads) * dims.head_dim}).to(dtype);
  const at::Tensor dout = at::randn({rows, dims.heads * dims.head_dim}).to(dtype);
  const Expected expected = Reference(qkv, dout, dims);
  const AttentionResult result = CausalAttention(qkv, dims);
  const at::Tensor dqkv = CausalAttentionGrad(dout, qkv, result, dims);
  const auto error = [](const at::Tensor& value, const at::Tensor& wanted) {
    return ((value.to(at::kFloat) - wanted).norm() / wanted.norm()).item<double>();
  };
  EXPECT_LE(error(result.out, expected.out), tolerance);
  EXPECT_LE(error(dqkv, expected.dqkv), tolerance);
}

TEST(CausalAttentionTest, EqualsAtensAttentionOverSeveralBlocks) {
  ExpectEqualsReference({2, 300, 6, 2, 16}, at::kFloat, 1e-5);
}

TEST(CausalAttentionTest, EqualsAtensAttentionWithOneHeadEach) {
  ExpectEqualsReference({3, 128, 2, 2, 8}, at::kFloat, 1e-5);
}

TEST(CausalAttentionTest, HandlesASingleToken) {
  ExpectEqualsReference({2, 1, 4, 1, 8}, at::kFloat, 1e-5);
}

TEST(CausalAttentionTest, StaysCloseInBf16) {
  ExpectEqualsReference({2, 200, 9, 3, 64}, at::kBFloat16, 2e-2);
}

}  // namespace
}  // namespace dropbp::trainer
