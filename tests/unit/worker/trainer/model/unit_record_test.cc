// Activation checkpointing: the gradients of training without it, bit for bit, in less memory.
#include "worker/trainer/model/unit_record.h"

#include <gtest/gtest.h>

#include "bench/train_speed/memory_watch.h"
#include "core/plan/memory_estimate.h"
#include "tests/unit/worker/trainer/model/small_decoder.h"

namespace dropbp::trainer {
namespace {

const std::vector<ForwardMasks>& GroupMasks() {
  static const MaskRow some = {false, true, false, true, true, false};
  static const MaskRow few = {true, false, false, false, false, true};
  static const MaskRow from_the_top = {false, false, true, true, true, true};
  static const std::vector<ForwardMasks> masks = {
      {},
      {.rows = {some}},
      {.rows = {from_the_top}},
      {.rows = {some, few}},
      {.rows = {MaskRow(kSmallUnits, true), from_the_top}},
      {.rows = {few, MaskRow(kSmallUnits, false)}, .cotangent_scales = {2, 1, 3, 1, 0.5, 1}}};
  return masks;
}

// A step's gradients, taken out of the parameters.
std::vector<at::Tensor> StepGradients(Decoder& decoder, const ForwardMasks& masks) {
  const SmallBatch batch = MakeBatch();
  decoder.LossSum(decoder.ForwardGroups(batch.ids, masks), batch.targets).backward();
  std::vector<at::Tensor> gradients;
  for (const TrainableParameter& parameter : decoder.trainable()) {
    gradients.push_back(parameter.value.grad());
    at::Tensor(parameter.value).mutable_grad().reset();
  }
  return gradients;
}

void ExpectSame(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected,
                const Decoder& decoder) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const std::string& name = decoder.trainable()[i].name;
    ASSERT_EQ(found[i].defined(), expected[i].defined()) << name;
    if (!expected[i].defined()) continue;
    EXPECT_TRUE(at::equal(found[i], expected[i])) << name;
  }
}

// With and without, otherwise the same.
struct Pair {
  Pair(DecoderOptions options, const std::string& family) {
    plain = SmallDecoder(options, family);
    options.activation_checkpointing = true;
    checkpointing = SmallDecoder(options, family);
  }

  std::unique_ptr<Decoder> plain;
  std::unique_ptr<Decoder> checkpointing;
};

class CheckpointingTest : public ::testing::TestWithParam<SmallCase> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_P(CheckpointingTest, GradientsAreThoseWithoutItBitForBit) {
  for (const char* dtype : {"fp32", "bf16"}) {
    const Pair pair(SmallOptions(GetParam().method, dtype), GetParam().family);
    for (const ForwardMasks& masks : GroupMasks())
      ExpectSame(StepGradients(*pair.checkpointing, masks), StepGradients(*pair.plain, masks),
                 *pair.plain);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointingTest, ::testing::ValuesIn(SmallCases()),
                         [](const auto& info) { return info.param.Name(); });

class CheckpointedDropoutTest : public ::testing::TestWithParam<SmallCase> {
 protected:
  CheckpointedDropoutTest() : pair_(Options(), GetParam().family) {
    at::set_num_threads(1);
    for (Decoder* decoder : {pair_.plain.get(), pair_.checkpointing.get()})
      decoder->SetTraining(true);
  }

  static DecoderOptions Options() {
    DecoderOptions options = SmallOptions(GetParam().method);
    options.lora.dropout = 0.3;
    return options;
  }

  Pair pair_;
};

// Steps follow one another without a new seed, so each also shows that the generator stood where it
// would have stood.
TEST_P(CheckpointedDropoutTest, DrawsTheSameMasksInTheSecondPassAndInLaterSteps) {
  for (const ForwardMasks& masks : GroupMasks()) {
    const std::vector<at::Tensor> gradients = StepGradients(*pair_.checkpointing, masks);
    ExpectSame(gradients, StepGradients(*pair_.plain, masks), *pair_.plain);
  }
  EXPECT_FALSE(at::equal(StepGradients(*pair_.plain, {})[0], StepGradients(*pair_.plain, {})[0]))
      << "no dropout";
}

TEST_P(CheckpointedDropoutTest, DrawsThemAsOftenAsBackwardRuns) {
  const SmallBatch batch = MakeBatch();
  std::vector<at::Tensor> gradients;
  for (Decoder* decoder : {pair_.checkpointing.get(), pair_.plain.get()}) {
    const at::Tensor loss =
        decoder->LossSum(decoder->ForwardGroups(batch.ids, GroupMasks()[3]), batch.targets);
    loss.backward({}, /*retain_graph=*/true);
    loss.backward();
    gradients.push_back(decoder->trainable().back().value.grad());
  }
  EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointedDropoutTest,
                         ::testing::Values(SmallCase{"llama", "lora"}, SmallCase{"llama", "qlora"},
                                           SmallCase{"gemma2", "lora"}),
                         [](const auto& info) { return info.param.Name(); });

// What the tensors of a step take beyond those that were there.
struct StepBytes {
  int64_t held = 0;  // left by forward for backward
  int64_t peak = 0;
};

StepBytes MeasureStep(Decoder& decoder, const ForwardMasks& masks) {
  MemoryWatch watch;
  StepGradients(decoder, masks);  // every tensor that a step replaces is seen when it is made
  const SmallBatch batch = MakeBatch();
  watch.Restart();
  const at::Tensor loss = decoder.LossSum(decoder.ForwardGroups(batch.ids, masks), batch.targets);
  StepBytes bytes{.held = watch.held_bytes()};
  loss.backward();
  bytes.peak = watch.peak_bytes();
  for (const TrainableParameter& parameter : decoder.trainable())
    at::Tensor(parameter.value).mutable_grad().reset();
  return bytes;
}

class CheckpointedMemoryTest : public ::testing::TestWithParam<SmallCase> {
 protected:
  CheckpointedMemoryTest() : pair_(SmallOptions(GetParam().method), GetParam().family) {
    at::set_num_threads(1);
  }

  // The estimate for MakeBatch.
  MemoryEstimate Estimate(bool checkpointing, const std::vector<double>& drop_rates) const {
    JobSpec spec = SmallSpec(GetParam().method);
    spec.dataset.max_length = 40;
    spec.training.micro_batch_size = spec.training.global_batch_size = 2;
    spec.training.activation_checkpointing = checkpointing;
    spec.dropbp.mask_groups = 1;
    const ModelShape& shape = pair_.plain->config().shape;
    const LayerTable table = BuildLayerTable(shape, spec, spec.dataset.max_length).value();
    const DropPlan plan = MakeDropPlan(table, drop_rates, drop_rates[0], 1, 0).value();
    return EstimateMemory(shape, spec, table, plan, {.dtype_bytes = 4});
  }

  // Of one unit's input.
  int64_t InputBytes() const {
    const int64_t virtual_tokens = GetParam().method == "prompt_tuning" ? 4 : 0;
    return 2 * (40 + virtual_tokens) * pair_.plain->config().shape.hidden_size * 4;
  }

  Pair pair_;
};

TEST_P(CheckpointedMemoryTest, ForwardLeavesTheUnitsInputsAlone) {
  const StepBytes plain = MeasureStep(*pair_.plain, {});
  const StepBytes checkpointing = MeasureStep(*pair_.checkpointing, {});
  EXPECT_EQ(plain.held - checkpointing.held,
            Estimate(false, std::vector<double>(kSmallUnits, 0)).activations -
                kSmallUnits * InputBytes());
  EXPECT_LT(checkpointing.peak, plain.peak);
}

TEST_P(CheckpointedMemoryTest, DroppedUnitsLeaveNothing) {
  const StepBytes all = MeasureStep(*pair_.checkpointing, {});
  const StepBytes half =
      MeasureStep(*pair_.checkpointing, {.rows = {{false, false, false, true, true, true}}});
  EXPECT_EQ(all.held - half.held, 3 * InputBytes());
}

// Backward holds the inputs and the largest tape, and the tensors of a unit's gradient, which the
// estimate does not count with or without.
TEST_P(CheckpointedMemoryTest, ThePeakFallsAsTheEstimateDoes) {
  const std::vector<double> rates(kSmallUnits, 0);
  const auto estimated =
      static_cast<double>(Estimate(false, rates).activations - Estimate(true, rates).activations);
  const StepBytes plain = MeasureStep(*pair_.plain, {});
  const StepBytes checkpointing = MeasureStep(*pair_.checkpointing, {});
  EXPECT_NEAR(static_cast<double>(plain.peak - checkpointing.peak) / estimated, 1, 0.25);
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointedMemoryTest,
                         ::testing::Values(SmallCase{"llama", "lora"}, SmallCase{"llama", "ia3"},
                                           SmallCase{"llama", "prompt_tuning"},
                                           SmallCase{"gemma3_text", "lora"}),
                         [](const auto& info) { return info.param.Name(); });

}  // namespace
}  // namespace dropbp::trainer
