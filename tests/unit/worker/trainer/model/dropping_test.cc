// What dropping a unit means: method.md, "What must hold", 1 to 3.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/worker/trainer/model/small_decoder.h"
#include "worker/trainer/model/decoder_ends.h"
#include "worker/trainer/model/decoder_parts.h"
#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/rope.h"
#include "worker/trainer/model/token_loss.h"

namespace dropbp::trainer {
namespace {

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

class DroppingTest : public ::testing::TestWithParam<SmallCase> {
 protected:
  void SetUp() override { at::set_num_threads(1); }

  static std::unique_ptr<Decoder> MakeDecoder(const std::string& dtype = "fp32") {
    return SmallDecoder(SmallOptions(GetParam().method, dtype), GetParam().family);
  }
};

TEST_P(DroppingTest, LossDoesNotDependOnTheMaskBitForBit) {
  for (const char* dtype : {"fp32", "bf16"}) {
    const auto decoder = MakeDecoder(dtype);
    const at::Tensor whole = Step(*decoder, {});
    for (const MaskRow& mask : Masks())
      EXPECT_TRUE(at::equal(Step(*decoder, mask), whole)) << dtype;
  }
}

TEST_P(DroppingTest, AnEmptyMaskAndAllKeptGiveTheSameGradients) {
  const auto decoder = MakeDecoder();
  Step(*decoder, {});
  const std::vector<at::Tensor> plain = Gradients(*decoder);
  Step(*decoder, MaskRow(kSmallUnits, true));
  const std::vector<at::Tensor> kept = Gradients(*decoder);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(at::equal(plain[i], kept[i]));
}

TEST_P(DroppingTest, DroppedUnitsHaveUndefinedGradientsAndOthersDefinedOnes) {
  const auto decoder = MakeDecoder();
  for (const MaskRow& mask : Masks()) {
    Step(*decoder, mask);
    for (const TrainableParameter& parameter : decoder->trainable()) {
      const bool live = parameter.unit < 0 || mask[parameter.unit];
      EXPECT_EQ(parameter.value.grad().defined(), live) << parameter.name;
    }
  }
}

// What nested masks are for: core/plan/nested_masks.h, Note [Why from the top].
TEST_P(DroppingTest, KeptFromTheTopAUnitHasTheGradientOfPlainTrainingBitForBit) {
  const auto decoder = MakeDecoder();
  Step(*decoder, {});
  const std::vector<at::Tensor> plain = Gradients(*decoder);
  for (int lowest = 1; lowest < kSmallUnits; ++lowest) {
    MaskRow mask(kSmallUnits, false);
    std::fill(mask.begin() + lowest, mask.end(), true);
    Step(*decoder, mask);
    const std::vector<at::Tensor> kept = Gradients(*decoder);
    for (size_t i = 0; i < plain.size(); ++i) {
      const TrainableParameter& parameter = decoder->trainable()[i];
      if (parameter.unit < lowest) continue;
      EXPECT_TRUE(at::equal(kept[i], plain[i])) << parameter.name << " above " << lowest;
    }
  }
}

TEST(DroppingLoraTest, NothingBelowTheLowestKeptUnitRecords) {
  const auto decoder = SmallDecoder(SmallOptions("lora"));
  const SmallBatch batch = MakeBatch();
  EXPECT_FALSE(decoder->Forward(batch.ids, MaskRow(kSmallUnits, false)).requires_grad());
  EXPECT_TRUE(decoder->Forward(batch.ids, Masks()[3]).requires_grad());
}

// The definition, x + stop_gradient(f(x)), put together from the decoder's own branches.
TEST_P(DroppingTest, GradientsEqualTheDetachReferenceBitForBit) {
  const hf::ModelConfig config = SmallConfig(GetParam().family);
  const DecoderOptions options = SmallOptions(GetParam().method);
  const auto decoder = MakeDecoder();
  auto weights = RandomWeights(options.seed, config.unit_offset_norms ? 0 : 1);
  DecoderParts parts = BuildDecoder(config, options, *weights).value();
  {
    at::NoGradGuard no_grad;
    for (size_t i = 0; i < parts.trainable.size(); ++i)
      parts.trainable[i].value.copy_(decoder->trainable()[i].value);
  }
  const SmallBatch batch = MakeBatch();
  const at::Tensor ids = WithPrompt(parts, batch.ids, /*padding=*/{});
  const at::Tensor targets = at::constant_pad_nd(batch.targets, {PromptLength(parts), 0}, -100);
  ForwardContext context;
  context.batch = ids.size(0);
  context.sequence = ids.size(1);
  for (const hf::RopeConfig& rope : config.ropes) {
    context.angles.push_back(
        RopeTable(rope, config.shape.head_dim, at::kCPU).First(context.sequence));
  }
  for (const MaskRow& mask : Masks()) {
    const at::Tensor loss = Step(*decoder, mask);
    at::Tensor x = Embed(parts, ids);
    for (int unit = 0; unit < kSmallUnits; ++unit) {
      if (mask[unit]) {
        x = ResidualUnit(*parts.units[unit], x, context, UnitMask());
      } else {
        x = x + parts.units[unit]->Forward(x.detach(), context, nullptr).detach();
      }
    }
    // The final norm by autograd's own rules; its gradients differ in rounding, so hand the
    // decoder's cotangent over.
    const at::Tensor top = x.detach().requires_grad_(true);
    const RmsNormResult normed = parts.norm.Forward(top.detach());
    const at::Tensor hidden = normed.y.detach().requires_grad_(true);
    const at::Tensor reference_loss =
        TokenLossSum(hidden, targets.view({-1}), parts.head, config.logit_softcap);
    EXPECT_TRUE(at::equal(reference_loss, loss));
    reference_loss.backward();
    const at::Tensor cotangent =
        parts.norm.InputGrad(hidden.grad(), top.detach(), normed.inverse_rms);
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

// One pass over a batch whose groups of sequences have masks of their own.
at::Tensor StepOfGroups(Decoder& decoder, const at::Tensor& ids, const at::Tensor& targets,
                        const ForwardMasks& masks) {
  ClearGradients(decoder);
  const at::Tensor loss = decoder.LossSum(decoder.ForwardGroups(ids, masks), targets);
  if (loss.requires_grad()) loss.backward();
  return loss.detach();
}

TEST_P(DroppingTest, LossOfABatchDoesNotDependOnTheMasksOfItsGroupsBitForBit) {
  for (const char* dtype : {"fp32", "bf16"}) {
    const auto decoder = MakeDecoder(dtype);
    const SmallBatch batch = MakeBatch();
    const at::Tensor whole = StepOfGroups(*decoder, batch.ids, batch.targets, {});
    for (const MaskRow& mask : Masks()) {
      const ForwardMasks masks{.rows = {Masks()[1], mask}};
      EXPECT_TRUE(at::equal(StepOfGroups(*decoder, batch.ids, batch.targets, masks), whole));
    }
  }
}

// Loss and gradients are sums over sequences, so a batch of groups adds up what its groups give
// alone, each under its own mask.
TEST_P(DroppingTest, GradientsOfGroupsAddUpThoseOfEachGroupAlone) {
  const auto decoder = MakeDecoder();
  const SmallBatch batch = MakeBatch();
  const at::Tensor ids = at::cat({batch.ids, batch.ids.flip(0) + 1}).remainder(101);
  const at::Tensor targets = at::cat({batch.targets, batch.targets.flip(0)});
  for (const MaskRow& mask : Masks()) {
    for (const MaskRow& other : {Masks()[1], Masks()[2]}) {
      std::vector<at::Tensor> expected(decoder->trainable().size());
      for (int group = 0; group < 2; ++group) {
        StepOfGroups(*decoder, ids.narrow(0, 2 * group, 2), targets.narrow(0, 2 * group, 2),
                     {.rows = {group == 0 ? mask : other}});
        const std::vector<at::Tensor> part = Gradients(*decoder);
        for (size_t i = 0; i < part.size(); ++i) {
          if (!part[i].defined()) continue;
          expected[i] = expected[i].defined() ? expected[i] + part[i] : part[i].clone();
        }
      }
      StepOfGroups(*decoder, ids, targets, {.rows = {mask, other}});
      const std::vector<at::Tensor> sums = Gradients(*decoder);
      for (size_t i = 0; i < sums.size(); ++i) {
        const std::string& name = decoder->trainable()[i].name;
        ASSERT_EQ(sums[i].defined(), expected[i].defined()) << name;
        if (!sums[i].defined()) continue;
        EXPECT_LE((sums[i] - expected[i]).abs().max().item<float>(),
                  1e-5 * expected[i].abs().max().item<float>())
            << name;
      }
    }
  }
}

TEST_P(DroppingTest, ACotangentScaleMultipliesWhatEntersTheBranchOnly) {
  const auto decoder = MakeDecoder();
  const SmallBatch batch = MakeBatch();
  StepOfGroups(*decoder, batch.ids, batch.targets, {.rows = {Masks()[2]}});
  const std::vector<at::Tensor> plain = Gradients(*decoder);
  ForwardMasks masks{.rows = {Masks()[2]}, .cotangent_scales = std::vector<double>(kSmallUnits, 1)};
  masks.cotangent_scales[0] = 4;
  StepOfGroups(*decoder, batch.ids, batch.targets, masks);
  const std::vector<at::Tensor> scaled = Gradients(*decoder);
  for (size_t i = 0; i < plain.size(); ++i) {
    const TrainableParameter& parameter = decoder->trainable()[i];
    if (parameter.unit == 0) {
      EXPECT_TRUE(at::equal(plain[i] * 4, scaled[i])) << parameter.name;
    } else if (plain[i].defined() && parameter.name.find("embed") == std::string::npos) {
      EXPECT_TRUE(at::equal(plain[i], scaled[i])) << parameter.name;
    }
  }
}

TEST_P(DroppingTest, AScaledBranchPassesTheScaledCotangentDown) {
  const auto decoder = MakeDecoder();
  const SmallBatch batch = MakeBatch();
  const auto below = [&](double scale) {
    ForwardMasks masks{.rows = {MaskRow(kSmallUnits, true)},
                       .cotangent_scales = std::vector<double>(kSmallUnits, 1)};
    masks.cotangent_scales[5] = scale;
    StepOfGroups(*decoder, batch.ids, batch.targets, masks);
    return Gradients(*decoder);
  };
  // Unit 4's gradient is linear in the scale of unit 5: part through the residual path, part
  // through the branch.
  const std::vector<at::Tensor> none = below(0), one = below(1), two = below(2);
  for (size_t i = 0; i < none.size(); ++i) {
    if (decoder->trainable()[i].unit != 4) continue;
    const at::Tensor expected = 2 * one[i] - none[i];
    EXPECT_LE((two[i] - expected).abs().max().item<float>(),
              1e-5 * expected.abs().max().item<float>());
    EXPECT_FALSE(at::equal(none[i], one[i]));
  }
}

// What makes the `unbiased` estimator so: units dropped independently, each with probability 1/2,
// and cotangents doubled. All 64 masks are equally likely.
TEST_P(DroppingTest, TheMeanOverAllMasksWithScaledCotangentsIsTheGradient) {
  const auto decoder = MakeDecoder();
  const SmallBatch batch = MakeBatch();
  Step(*decoder, {});
  const std::vector<at::Tensor> plain = Gradients(*decoder);
  std::vector<at::Tensor> means;
  for (const at::Tensor& gradient : plain) means.push_back(at::zeros_like(gradient, at::kDouble));
  for (uint32_t bits = 0; bits < 1u << kSmallUnits; ++bits) {
    ForwardMasks masks{.rows = {MaskRow(kSmallUnits)},
                       .cotangent_scales = std::vector<double>(kSmallUnits, 2)};
    for (int unit = 0; unit < kSmallUnits; ++unit) masks.rows[0][unit] = (bits >> unit & 1) != 0;
    StepOfGroups(*decoder, batch.ids, batch.targets, masks);
    const std::vector<at::Tensor> gradients = Gradients(*decoder);
    for (size_t i = 0; i < means.size(); ++i) {
      if (gradients[i].defined()) means[i] += gradients[i].to(at::kDouble) / (1 << kSmallUnits);
    }
  }
  for (size_t i = 0; i < means.size(); ++i) {
    EXPECT_LE((means[i] - plain[i]).abs().max().item<double>(),
              1e-5 * plain[i].abs().max().item<double>())
        << decoder->trainable()[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, DroppingTest, ::testing::ValuesIn(SmallCases()),
                         [](const auto& info) { return info.param.Name(); });

}  // namespace
}  // namespace dropbp::trainer
