// The CPU's one-pass loops against the same operations in ATen, and those against autograd.
#include "worker/trainer/model/elementwise.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "worker/trainer/model/generic_kernels.h"

namespace dropbp::trainer {
namespace {

// Largest difference over the largest value. In bf16 an operation may round once more or less.
class ElementwiseTest : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(1); }

  at::Tensor Random(at::IntArrayRef shape) const { return at::randn(shape).to(GetParam()); }

  void ExpectClose(const at::Tensor& value, const at::Tensor& expected) const {
    ASSERT_EQ(value.sizes(), expected.sizes());
    const double tolerance = GetParam() == at::kFloat ? 2e-6 : 1e-2;
    const at::Tensor wide = expected.to(at::kDouble);
    const double error = (value.to(at::kDouble) - wide).abs().max().item<double>();
    EXPECT_LE(error, tolerance * wide.abs().max().item<double>());
  }
};

TEST_P(ElementwiseTest, RmsNormAndItsGradient) {
  const at::Tensor x = Random({37, 50}), weight = Random({50}), dy = Random({37, 50});
  for (bool unit_offset : {false, true}) {
    const RmsNormResult ours = RmsNorm(x, weight, 1e-5, unit_offset);
    ExpectClose(ours.y, generic::RmsNorm(x, weight, 1e-5, unit_offset).y);
    EXPECT_TRUE(at::equal(RmsNormAgain(x, weight, ours.inverse_rms, unit_offset), ours.y));
    ExpectClose(RmsNormInputGrad(dy, x, weight, ours.inverse_rms, unit_offset),
                generic::RmsNormInputGrad(dy, x, weight, ours.inverse_rms, unit_offset));
  }
}

TEST_P(ElementwiseTest, GatedActivationsAndTheirGradients) {
  const at::Tensor gate_up = Random({37, 66}) * 3, dy = Random({37, 33});
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    ExpectClose(Glu(gate_up, activation), generic::Glu(gate_up, activation));
    ExpectClose(GluGrad(dy, gate_up, activation), generic::GluGrad(dy, gate_up, activation));
  }
}

TEST_P(ElementwiseTest, GatesFarFromZeroAreOpenOrShut) {
  const at::Tensor gate = at::tensor({-1000.0, -90.0, -12.0, 12.0, 90.0, 1000.0}).to(GetParam());
  const at::Tensor gate_up = at::cat({gate, at::ones_like(gate)}).view({1, 12}).repeat({9, 1});
  const at::Tensor dy = at::ones({9, 6}).to(GetParam());
  for (Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    ExpectClose(Glu(gate_up, activation), generic::Glu(gate_up, activation));
    ExpectClose(GluGrad(dy, gate_up, activation), generic::GluGrad(dy, gate_up, activation));
  }
}

TEST_P(ElementwiseTest, RotationOfAPartOfEachHead) {
  const at::Tensor qkv = Random({2 * 7, 5 * 8}), angles = at::rand({1, 7, 3}) * 6;
  const RopeAngles turn{angles.cos(), angles.sin()};
  at::Tensor ours = qkv.clone(), generic = qkv.clone();
  RotateInPlace(ours, 3, 8, turn);
  generic::RotateInPlace(generic, 3, 8, turn, /*sign=*/1);
  ExpectClose(ours, generic);
  EXPECT_TRUE(at::equal(ours.narrow(1, 6, 2), qkv.narrow(1, 6, 2)));
  EXPECT_FALSE(at::equal(ours.narrow(1, 8, 6), qkv.narrow(1, 8, 6)));
}

TEST_P(ElementwiseTest, SoftmaxWithinAWindow) {
  const CausalRows rows{.first_position = 4, .group = 3, .scale = 0.3, .window = 2};
  const at::Tensor scores = Random({2, 15, 9});
  at::Tensor ours = scores.clone(), generic = scores.clone(), again = scores.clone();
  const at::Tensor logsumexp = CausalSoftmaxInPlace(ours, rows);
  EXPECT_TRUE(at::allclose(logsumexp, generic::CausalSoftmaxInPlace(generic, rows), 1e-5, 1e-5));
  ExpectClose(ours, generic);
  // Position 4 sees keys 3 and 4.
  EXPECT_EQ(ours[0][0].ne(0).nonzero().view({-1}).equal(at::tensor({3, 4}, at::kLong)), true);
  CausalSoftmaxAgainInPlace(again, logsumexp, rows);
  EXPECT_TRUE(at::equal(again, ours));
}

TEST_P(ElementwiseTest, RotationTurnsTheFirstHeadsAndBack) {
  const at::Tensor qkv = Random({2 * 7, 5 * 8}), angles = at::rand({1, 7, 4}) * 6;
  at::Tensor ours = qkv.clone(), generic = qkv.clone();
  const RopeAngles turn{angles.cos(), angles.sin()};
  RotateInPlace(ours, 3, 8, turn);
  generic::RotateInPlace(generic, 3, 8, turn, /*sign=*/1);
  ExpectClose(ours, generic);
  EXPECT_TRUE(at::equal(ours.narrow(1, 24, 16), qkv.narrow(1, 24, 16)));
  RotateGradInPlace(ours, 3, 8, turn);
  ExpectClose(ours, qkv);
}

TEST_P(ElementwiseTest, RotationByEachSequencesOwnPositions) {
  const at::Tensor qkv = Random({2 * 7, 5 * 8}), angles = at::rand({2, 7, 4}) * 6;
  at::Tensor ours = qkv.clone(), generic = qkv.clone();
  const RopeAngles turn{angles.cos(), angles.sin()};
  RotateInPlace(ours, 3, 8, turn);
  generic::RotateInPlace(generic, 3, 8, turn, /*sign=*/1);
  ExpectClose(ours, generic);
}

TEST_P(ElementwiseTest, CausalSoftmaxAndItsGradient) {
  const CausalRows rows{4, 3, 0.3};
  const at::Tensor scores = Random({2, 15, 9});
  at::Tensor ours = scores.clone(), generic = scores.clone(), again = scores.clone();
  const at::Tensor logsumexp = CausalSoftmaxInPlace(ours, rows);
  EXPECT_TRUE(at::allclose(logsumexp, generic::CausalSoftmaxInPlace(generic, rows), 1e-5, 1e-5));
  ExpectClose(ours, generic);
  EXPECT_EQ(ours[0][0].slice(0, 5).abs().max().item<float>(), 0);  // position 4 sees keys 0 to 4
  CausalSoftmaxAgainInPlace(again, logsumexp, rows);
  EXPECT_TRUE(at::equal(again, ours));
  const at::Tensor dweights = Random({2, 15, 9}), delta = at::randn({2, 15});
  at::Tensor our_grad = dweights.clone(), generic_grad = dweights.clone();
  SoftmaxGradInPlace(our_grad, ours, delta, 0.3);
  generic::SoftmaxGradInPlace(generic_grad, ours, delta, 0.3);
  ExpectClose(our_grad, generic_grad);
}

TEST_P(ElementwiseTest, CrossEntropyAndItsGradient) {
  const at::Tensor logits = Random({11, 77}) * 4, targets = at::randint(77, {11}, at::kLong);
  at::Tensor ours = logits.clone(), generic = logits.clone(), untouched = logits.clone();
  const double loss = CrossEntropyInPlace(ours, targets, /*want_grad=*/true).item<double>();
  EXPECT_NEAR(loss, generic::CrossEntropyInPlace(generic, targets, true).item<double>(),
              1e-5 * loss);
  ExpectClose(ours, generic);
  EXPECT_EQ(CrossEntropyInPlace(untouched, targets, /*want_grad=*/false).item<double>(), loss);
  EXPECT_TRUE(at::equal(untouched, logits));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ElementwiseTest, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(c10::toString(info.param)); });

TEST(GenericKernelsTest, GradientsEqualAutograds) {
  at::manual_seed(2);
  at::Tensor x = at::randn({9, 20}).requires_grad_(true),
             weight = at::randn({20}).requires_grad_(true);
  const at::Tensor dy = at::randn({9, 20});
  at::rms_norm(x, {20}, weight, 1e-5).backward(dy);
  const at::Tensor inverse_rms = generic::RmsNorm(x.detach(), weight.detach(), 1e-5).inverse_rms;
  EXPECT_TRUE(at::allclose(generic::RmsNormInputGrad(dy, x.detach(), weight.detach(), inverse_rms),
                           x.grad(), 1e-4, 1e-6));
  EXPECT_TRUE(at::allclose(generic::RmsNormWeightGrad(dy, x.detach(), inverse_rms), weight.grad(),
                           1e-4, 1e-5));
  at::Tensor gate_up = at::randn({9, 40}).requires_grad_(true);
  const auto halves = gate_up.chunk(2, -1);
  (at::silu(halves[0]) * halves[1]).backward(dy);
  EXPECT_TRUE(at::allclose(generic::GluGrad(dy, gate_up.detach(), Activation::kSilu),
                           gate_up.grad(), 1e-4, 1e-6));
}

TEST(GenericKernelsTest, GradientsOfGemmasKindEqualAutograds) {
  at::manual_seed(2);
  at::Tensor x = at::randn({9, 20}).requires_grad_(true), weight = at::randn({20});
  const at::Tensor dy = at::randn({9, 20});
  at::rms_norm(x, {20}, weight + 1, 1e-5).backward(dy);
  const RmsNormResult normed = generic::RmsNorm(x.detach(), weight, 1e-5, /*unit_offset=*/true);
  EXPECT_TRUE(at::allclose(
      generic::RmsNormInputGrad(dy, x.detach(), weight, normed.inverse_rms, /*unit_offset=*/true),
      x.grad(), 1e-4, 1e-6));
  at::Tensor gate_up = at::randn({9, 40}).requires_grad_(true);
  const auto halves = gate_up.chunk(2, -1);
  (at::gelu(halves[0], "tanh") * halves[1]).backward(dy);
  EXPECT_TRUE(at::allclose(generic::GluGrad(dy, gate_up.detach(), Activation::kGeluTanh),
                           gate_up.grad(), 1e-4, 1e-6));
}

TEST(SoftcapTest, EqualsItsDefinitionAndAutogradsGradient) {
  at::manual_seed(2);
  at::Tensor x = (at::randn({9, 20}) * 8).requires_grad_(true);
  const at::Tensor dy = at::randn({9, 20});
  const at::Tensor expected = (x * 0.5 / 3).tanh() * 3;
  expected.backward(dy);
  at::Tensor capped = x.detach().clone(), grad = dy.clone();
  SoftcapInPlace(capped, 0.5, 3);
  EXPECT_TRUE(at::allclose(capped, expected.detach(), 1e-5, 1e-6));
  SoftcapGradInPlace(grad, capped, 0.5, 3);
  EXPECT_TRUE(at::allclose(grad, x.grad(), 1e-4, 1e-5));
}

}  // namespace
}  // namespace dropbp::trainer
