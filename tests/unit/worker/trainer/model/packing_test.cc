// Samples that share a row train as if each had a row of its own.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/worker/trainer/model/small_decoder.h"

namespace dropbp::trainer {
namespace {

// Samples of these lengths in two rows, the second with padding behind. Windows have 9 positions.
const RowSegments kSegments = {{13, 7, 20}, {11, 25}};
constexpr int64_t kRow = 40;
constexpr int64_t kLongest = 25;

struct Batches {
  SmallBatch packed;    // [2, 40]
  SmallBatch unpacked;  // [5, 25]
};

// Every sample is random but for its first token, which all have; its second half carries loss.
Batches MakeBatches() {
  at::manual_seed(5);
  const auto empty = [](int64_t rows, int64_t columns) {
    return SmallBatch{at::zeros({rows, columns}, at::kLong),
                      at::full({rows, columns}, -100, at::kLong)};
  };
  Batches both{empty(2, kRow), empty(5, kLongest)};
  int64_t sample = 0;
  for (int64_t row = 0; row < 2; ++row) {
    int64_t begin = 0;
    for (const int64_t length : kSegments[static_cast<size_t>(row)]) {
      const at::Tensor ids = at::randint(3, 101, {length}, at::kLong);
      ids[0] = 1;
      const int64_t loss = length / 2;
      const auto put = [&](SmallBatch& batch, int64_t to_row, int64_t to) {
        batch.ids[to_row].narrow(0, to, length).copy_(ids);
        batch.targets[to_row]
            .narrow(0, to + loss, length - loss - 1)
            .copy_(ids.narrow(0, loss + 1, length - loss - 1));
      };
      put(both.packed, row, begin);
      put(both.unpacked, sample++, 0);
      begin += length;
    }
  }
  return both;
}

// Loss and gradients of one step.
struct StepResult {
  at::Tensor loss;
  std::vector<at::Tensor> gradients;
};

StepResult RunStep(Decoder& decoder, const TokenBatch& batch, const at::Tensor& targets,
                   const ForwardMasks& masks = {}) {
  StepResult step;
  const at::Tensor loss = decoder.LossSum(decoder.ForwardGroups(batch, masks), targets);
  if (loss.requires_grad()) loss.backward();
  step.loss = loss.detach();
  for (const TrainableParameter& parameter : decoder.trainable()) {
    step.gradients.push_back(parameter.value.grad());
    at::Tensor(parameter.value).mutable_grad().reset();
  }
  return step;
}

// Products of other sizes round in another way.
void ExpectNear(const Decoder& decoder, const std::vector<at::Tensor>& found,
                const std::vector<at::Tensor>& expected) {
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string& name = decoder.trainable()[i].name;
    ASSERT_EQ(found[i].defined(), expected[i].defined()) << name;
    if (!found[i].defined()) continue;
    EXPECT_LE((found[i] - expected[i]).abs().max().item<float>(),
              5e-5 * expected[i].abs().max().item<float>())
        << name;
  }
}

class PackingTest : public ::testing::TestWithParam<SmallCase> {
 protected:
  void SetUp() override { at::set_num_threads(1); }

  static std::unique_ptr<Decoder> MakeDecoder(const std::string& dtype = "fp32") {
    return SmallDecoder(SmallOptions(GetParam().method, dtype), GetParam().family);
  }

  const Batches batches_ = MakeBatches();
  const TokenBatch packed_ = {batches_.packed.ids, kSegments};
};

TEST_P(PackingTest, LossAndGradientsAreThoseOfTheUnpackedSamples) {
  const auto decoder = MakeDecoder();
  const StepResult packed = RunStep(*decoder, packed_, batches_.packed.targets);
  const StepResult unpacked = RunStep(*decoder, batches_.unpacked.ids, batches_.unpacked.targets);
  const double expected = unpacked.loss.item<double>();
  EXPECT_NEAR(packed.loss.item<double>(), expected, 1e-6 * expected);
  ExpectNear(*decoder, packed.gradients, unpacked.gradients);
}

TEST_P(PackingTest, AMaskKeepsOfPackedSamplesWhatItKeepsOfUnpackedOnes) {
  const auto decoder = MakeDecoder();
  const MaskRow mask = {false, true, true, false, true, true};
  const StepResult packed = RunStep(*decoder, packed_, batches_.packed.targets, {.rows = {mask}});
  const StepResult unpacked =
      RunStep(*decoder, batches_.unpacked.ids, batches_.unpacked.targets, {.rows = {mask}});
  ExpectNear(*decoder, packed.gradients, unpacked.gradients);
}

TEST_P(PackingTest, NothingOfASampleReachesTheOthersBitForBit) {
  for (const char* dtype : {"fp32", "bf16"}) {
    const auto decoder = MakeDecoder(dtype);
    TokenBatch other = packed_;
    other.ids = packed_.ids.clone();
    other.ids[0].narrow(0, 13, 7).add_(1);  // the sample in the middle
    const at::Tensor before = decoder->Forward(packed_, {}).detach();
    const at::Tensor after = decoder->Forward(other, {}).detach();
    for (const auto& [row, begin, length] :
         {std::tuple(0, 0, 13), std::tuple(0, 20, 20), std::tuple(1, 0, 36)}) {
      EXPECT_TRUE(
          at::equal(before[row].narrow(0, begin, length), after[row].narrow(0, begin, length)));
    }
    EXPECT_FALSE(at::equal(before[0].narrow(0, 13, 7), after[0].narrow(0, 13, 7)));

    at::Tensor targets = batches_.packed.targets.clone();
    targets[0].narrow(0, 13, 7).fill_(-100);
    const std::vector<at::Tensor> plain = RunStep(*decoder, packed_, targets).gradients;
    const std::vector<at::Tensor> changed = RunStep(*decoder, other, targets).gradients;
    for (size_t i = 0; i < plain.size(); ++i)
      EXPECT_TRUE(at::equal(plain[i], changed[i])) << decoder->trainable()[i].name;
  }
}

TEST_P(PackingTest, TheLossDoesNotDependOnTheMasksAndGroupsAddUp) {
  const auto decoder = MakeDecoder();
  const StepResult whole = RunStep(*decoder, packed_, batches_.packed.targets);
  const ForwardMasks masks{
      .rows = {{false, true, false, true, true, false}, {true, false, true, false, true, true}}};
  const StepResult both = RunStep(*decoder, packed_, batches_.packed.targets, masks);
  EXPECT_TRUE(at::equal(both.loss, whole.loss));
  std::vector<at::Tensor> sums(both.gradients.size());
  for (const size_t row : {0, 1}) {
    const auto begin = static_cast<int64_t>(row);
    const StepResult alone =
        RunStep(*decoder, {packed_.ids.narrow(0, begin, 1), {kSegments[row]}},
                batches_.packed.targets.narrow(0, begin, 1), {.rows = {masks.rows[row]}});
    for (size_t i = 0; i < sums.size(); ++i) {
      if (!alone.gradients[i].defined()) continue;
      sums[i] = sums[i].defined() ? sums[i] + alone.gradients[i] : alone.gradients[i];
    }
  }
  ExpectNear(*decoder, both.gradients, sums);
}

TEST_P(PackingTest, ActivationCheckpointingGivesTheSameGradientsBitForBit) {
  const ForwardMasks masks{
      .rows = {{false, true, false, true, true, false}, {true, false, true, false, true, true}}};
  const auto plain = MakeDecoder();
  DecoderOptions options = SmallOptions(GetParam().method);
  options.activation_checkpointing = true;
  const auto checkpointing = SmallDecoder(options, GetParam().family);
  const StepResult kept = RunStep(*plain, packed_, batches_.packed.targets, masks);
  const StepResult again = RunStep(*checkpointing, packed_, batches_.packed.targets, masks);
  EXPECT_TRUE(at::equal(kept.loss, again.loss));
  for (size_t i = 0; i < kept.gradients.size(); ++i) {
    ASSERT_EQ(kept.gradients[i].defined(), again.gradients[i].defined());
    if (!kept.gradients[i].defined()) continue;
    EXPECT_TRUE(at::equal(kept.gradients[i], again.gradients[i])) << plain->trainable()[i].name;
  }
}

TEST_P(PackingTest, WalkingBackwardGivesTheSameGradientsBitForBit) {
  const auto decoder = MakeDecoder();
  const std::vector<at::Tensor> plain =
      RunStep(*decoder, packed_, batches_.packed.targets).gradients;
  const auto walk = decoder->Walk(packed_, batches_.packed.targets, 1);
  BackwardWalk::Gradients walked(decoder->trainable().size());
  at::Tensor cotangent = walk->Top(walked);
  for (int unit = 5; unit >= 0; --unit) cotangent = walk->Through(unit, cotangent, walked);
  if (cotangent.defined()) walk->Bottom(cotangent, walked);
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_TRUE(at::equal(plain[i], walked[i])) << decoder->trainable()[i].name;
  }
}

std::vector<SmallCase> PackedCases() {
  std::vector<SmallCase> cases = SmallCases();
  std::erase_if(cases, [](const SmallCase& one) { return one.method == "prompt_tuning"; });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Families, PackingTest, ::testing::ValuesIn(PackedCases()),
                         [](const auto& info) { return info.param.Name(); });

}  // namespace
}  // namespace dropbp::trainer
