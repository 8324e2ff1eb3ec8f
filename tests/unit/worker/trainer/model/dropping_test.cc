// What dropping a unit means: method.md, "What must hold", 1 to 3.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/worker/trainer/model/small_decoder.h"
#include "worker/trainer/model/decoder_parts.h"
#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/rope.h"
#include "worker/trainer/model/token_loss.h"

namespace dropbp::trainer {
namespace {

constexpr int kUnits = 6;

const std::vector<MaskRow>& Masks() {
  static const std::vector<MaskRow> masks = {
      {true, true, true, true, true, true},      {false, true, false, true, true, false},
      {true, false, false, false, false, false}, {false, false, false, false, false, true},
      {false, false, true, false, false, false}, {false, false, false, false, false, false}};
  return masks;
}

std::vector<at::Tensor> Gradients(const Decoder& decoder) {
  std::vector<at::Tensor> grads;
  for (const TrainableParameter& parameter : decoder.trainable())
    grads.push_back(parameter.value.grad());
  return grads;
}

void ClearGradients(const Decoder& decoder) {
  for (const TrainableParameter& parameter : decoder.trainable())
    at::Tensor(parameter.value).mutable_grad().reset();
}

// A step's loss; its gradients are left in the parameters.
at::Tensor Step(Decoder& decoder, const MaskRow& keep) {
  const SmallBatch batch = MakeBatch();
  ClearGradients(decoder);
  const at::Tensor loss = decoder.LossSum(decoder.Forward(batch.ids, keep), batch.targets);
  if (loss.requires_grad()) loss.backward();
  return loss.detach();
}

class DroppingTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_P(DroppingTest, LossDoesNotDependOnTheMaskBitForBit) {
  for (const char* dtype : {"fp32", "bf16"}) {
    const auto decoder = SmallDecoder(SmallOptions(GetParam(), dtype));
    const at::Tensor whole = Step(*decoder, {});
    for (const MaskRow& mask : Masks())
      EXPECT_TRUE(at::equal(Step(*decoder, mask), whole)) << dtype;
  }
}

TEST_P(DroppingTest, AnEmptyMaskAndAllKeptGiveTheSameGradients) {
  const auto decoder = SmallDecoder(SmallOptions(GetParam()));
  Step(*decoder, {});
  const std::vector<at::Tensor> plain = Gradients(*decoder);
  Step(*decoder, MaskRow(kUnits, true));
  const std::vector<at::Tensor> kept = Gradients(*decoder);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(at::equal(plain[i], kept[i]));
}

TEST_P(DroppingTest, DroppedUnitsHaveUndefinedGradientsAndOthersDefinedOnes) {
  const auto decoder = SmallDecoder(SmallOptions(GetParam()));
  for (const MaskRow& mask : Masks()) {
    Step(*decoder, mask);
    for (const TrainableParameter& parameter : decoder->trainable()) {
      const bool live = parameter.unit < 0 || mask[parameter.unit];
      EXPECT_EQ(parameter.value.grad().defined(), live) << parameter.name;
    }
  }
}

TEST(DroppingLoraTest, NothingBelowTheLowestKeptUnitRecords) {
  const auto decoder = SmallDecoder(SmallOptions("lora"));
  const SmallBatch batch = MakeBatch();
  EXPECT_FALSE(decoder->Forward(batch.ids, MaskRow(kUnits, false)).requires_grad());
  EXPECT_TRUE(decoder->Forward(batch.ids, Masks()[3]).requires_grad());
}

// The definition, x + stop_gradient(f(x)), put together from the decoder's own branches.
TEST_P(DroppingTest, GradientsEqualTheDetachReferenceBitForBit) {
  const hf::ModelConfig config = SmallConfig();
  const DecoderOptions options = SmallOptions(GetParam());
  const auto decoder = SmallDecoder(options);
  auto weights = RandomWeights(options.seed);
  DecoderParts parts = BuildDecoder(config, options, *weights).value();
  {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < parts.trainable.size(); ++i)
      parts.trainable[i].value.copy_(decoder->trainable()[i].value);
  }
  const SmallBatch batch = MakeBatch();
  RopeTable rope(config.rope_theta, config.shape.head_dim, at::kCPU);
  const RopeTable::Angles angles = rope.First(batch.ids.size(1));
  ForwardContext context;
  context.batch = batch.ids.size(0);
  context.sequence = batch.ids.size(1);
  context.cos = angles.cos;
  context.sin = angles.sin;
  for (const MaskRow& mask : Masks()) {
    const at::Tensor loss = Step(*decoder, mask);
    const at::Tensor& table = parts.embedding.leaf();
    at::Tensor x =
        at::embedding(table.defined() ? table : parts.embedding.Get(), batch.ids.view({-1}));
    for (int unit = 0; unit < kUnits; ++unit) {
      if (mask[unit]) {
        x = ResidualUnit(*parts.units[unit], x, context, /*keep=*/true);
      } else {
        x = x + parts.units[unit]->Forward(x.detach(), context, nullptr).detach();
      }
    }
    // The final norm by autograd's own rules; its gradients differ in rounding, so hand the
    // decoder's cotangent over.
    const at::Tensor top = x.detach().requires_grad_(true);
    const at::Tensor normed = RmsNorm(top.detach(), parts.norm.Get(), config.rms_norm_eps).y;
    const at::Tensor hidden = normed.detach().requires_grad_(true);
    const at::Tensor reference_loss = TokenLossSum(hidden, batch.targets.view({-1}), parts.head);
    EXPECT_TRUE(at::equal(reference_loss, loss));
    reference_loss.backward();
    const auto inverse_rms =
        RmsNorm(top.detach(), parts.norm.Get(), config.rms_norm_eps).inverse_rms;
    const at::Tensor cotangent =
        RmsNormInputGrad(hidden.grad(), top.detach(), parts.norm.Get(), inverse_rms);
    if (x.requires_grad()) x.backward(cotangent);
    for (size_t i = 0; i < parts.trainable.size(); ++i) {
      TrainableParameter& own = parts.trainable[i];
      const at::Tensor expected = decoder->trainable()[i].value.grad();
      if (own.unit >= 0) {
        ASSERT_EQ(own.value.grad().defined(), expected.defined()) << own.name;
        if (expected.defined()) {
          EXPECT_TRUE(at::equal(own.value.grad(), expected)) << own.name;
        }
      }
      own.value.mutable_grad().reset();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, DroppingTest, ::testing::Values("lora", "full"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace dropbp::trainer
