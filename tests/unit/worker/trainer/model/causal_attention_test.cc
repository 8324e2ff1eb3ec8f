#include "worker/trainer/model/causal_attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

namespace dropbp::trainer {
namespace {

// Attention and its gradient by ATen's own kernel and autograd, in fp32.
struct AtenResult {
  at::Tensor out;
  at::Tensor dqkv;
};

// [sequence, sequence], true where a position sees another.
at::Tensor Visible(const AttentionDims& dims) {
  at::Tensor visible = at::ones({dims.sequence, dims.sequence}, at::kBool).tril();
  return dims.window > 0 ? visible.logical_and(visible.triu(1 - dims.window)) : visible;
}

AtenResult Reference(const at::Tensor& qkv, const at::Tensor& dout, const AttentionDims& dims) {
  const at::Tensor leaf = qkv.to(at::kFloat).detach().requires_grad_(true);
  const QkvViews views = SplitQkv(leaf, dims);
  const at::Tensor queries = views.queries.transpose(1, 2);
  const int64_t group = dims.heads / dims.kv_heads;
  const auto repeated = [&](const at::Tensor& t) {
    return t.transpose(1, 2).repeat_interleave(group, 1);
  };
  at::Tensor mixed;
  if (dims.softcap > 0) {
    const at::Tensor scores = at::matmul(queries, repeated(views.keys).transpose(-1, -2));
    const at::Tensor capped = (scores * dims.Scale() / dims.softcap).tanh() * dims.softcap;
    mixed = at::matmul(capped.masked_fill(Visible(dims).logical_not(), -INFINITY).softmax(-1),
                       repeated(views.values));
  } else {
    mixed = at::scaled_dot_product_attention(queries, repeated(views.keys), repeated(views.values),
                                             Visible(dims), 0.0, /*is_causal=*/false, dims.Scale());
  }
  const at::Tensor out = mixed.transpose(1, 2).reshape(dout.sizes());
  out.backward(dout.to(at::kFloat));
  return {out.detach(), leaf.grad()};
}

void ExpectEqualsAten(const AttentionDims& dims, at::ScalarType dtype, double tolerance) {
  at::manual_seed(3);
  const int64_t rows = dims.batch * dims.sequence;
  const at::Tensor qkv =
      at::randn({rows, (dims.heads + 2 * dims.kv_heads) * dims.head_dim}).to(dtype);
  const at::Tensor dout = at::randn({rows, dims.heads * dims.head_dim}).to(dtype);
  const AtenResult expected = Reference(qkv, dout, dims);
  const AttentionResult result = CausalAttention(qkv, dims);
  const at::Tensor dqkv = CausalAttentionGrad(dout, qkv, result, dims);
  const auto error = [](const at::Tensor& value, const at::Tensor& wanted) {
    return ((value.to(at::kFloat) - wanted).norm() / wanted.norm()).item<double>();
  };
  EXPECT_LE(error(result.out, expected.out), tolerance);
  EXPECT_LE(error(dqkv, expected.dqkv), tolerance);
}

TEST(CausalAttentionTest, EqualsAtensAttentionOverSeveralBlocks) {
  ExpectEqualsAten({2, 300, 6, 2, 16}, at::kFloat, 1e-5);
}

TEST(CausalAttentionTest, EqualsAtensAttentionWithOneHeadEach) {
  ExpectEqualsAten({3, 128, 2, 2, 8}, at::kFloat, 1e-5);
}

TEST(CausalAttentionTest, SeesWithinAWindowOnly) {
  for (int64_t window : {1, 50, 128, 200, 299, 300, 1000}) {
    ExpectEqualsAten(
        {.batch = 2, .sequence = 300, .heads = 4, .kv_heads = 2, .head_dim = 16, .window = window},
        at::kFloat, 1e-5);
  }
}

TEST(CausalAttentionTest, ScalesAndCapsScores) {
  AttentionDims dims{.batch = 2, .sequence = 200, .heads = 4, .kv_heads = 2, .head_dim = 16};
  dims.scale = 0.7;
  ExpectEqualsAten(dims, at::kFloat, 1e-5);
  dims.softcap = 3;
  ExpectEqualsAten(dims, at::kFloat, 1e-5);
  dims.window = 30;
  ExpectEqualsAten(dims, at::kFloat, 1e-5);
  ExpectEqualsAten(dims, at::kBFloat16, 3e-2);
}

TEST(CausalAttentionTest, HandlesASingleToken) {
  ExpectEqualsAten({2, 1, 4, 1, 8}, at::kFloat, 1e-5);
}

TEST(CausalAttentionTest, StaysCloseInBf16) {
  ExpectEqualsAten({2, 200, 9, 3, 64}, at::kBFloat16, 2e-2);
}

}  // namespace
}  // namespace dropbp::trainer
