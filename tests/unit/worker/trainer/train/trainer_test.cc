// What must hold of a training run; the numbers are those of docs/method.md.
#include "worker/trainer/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <set>

#include "tests/unit/worker/trainer/collective/run_ranks.h"
#include "tests/unit/worker/trainer/stress.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/trainer/optim/adamw.h"

namespace dropbp::trainer {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

JobSpec DropSpec(double rate, const std::string& masks) {
  JobSpec spec = TinySpec();
  spec.dropbp.drop_rate = rate;
  spec.dropbp.masks = masks;
  return spec;
}

// What a loop does besides plain training: `masks` gives the rows of a step, by micro-batch and
// group, `after_backward` may change its gradients.
struct Loop {
  std::function<std::vector<std::vector<MaskRow>>(int64_t step)> masks;
  std::function<void(const Decoder&, int64_t step)> after_backward;
};

// The loop that anyone would write for one process: no plan, no buckets.
std::vector<at::Tensor> PlainLoop(const JobSpec& spec, const Loop& loop = {}) {
  const std::vector<data::Sample> samples = TinySamples();
  const std::unique_ptr<Decoder> model = TinyModel(spec);
  model->SetTraining(true);
  AdamW optimizer(model->trainable(), spec.training);
  data::Sampler sampler(static_cast<int64_t>(samples.size()), spec.training.global_batch_size,
                        static_cast<uint64_t>(spec.training.seed));
  std::vector<at::Tensor> leaves;
  for (const auto& parameter : model->trainable()) leaves.push_back(parameter.value);
  const auto micro_batch = static_cast<size_t>(spec.training.micro_batch_size);
  for (int64_t step = 0; step < spec.training.steps; ++step) {
    const std::vector<int64_t> batch = sampler.GlobalBatch(step);
    std::vector<std::vector<MaskRow>> masks(batch.size() / micro_batch);
    if (loop.masks) masks = loop.masks(step);
    int64_t count = 0;
    for (int64_t index : batch) count += samples[index].SupervisedTokens();
    for (size_t m = 0; m < masks.size(); ++m) {
      const MicroBatch micro = MakeMicroBatch(
          samples, absl::MakeConstSpan(batch).subspan(m * micro_batch, micro_batch), at::kCPU);
      const at::Tensor hidden = model->ForwardGroups(micro.tokens(), {.rows = masks[m]});
      const at::Tensor loss = model->LossSum(hidden, micro.targets) / static_cast<double>(count);
      if (loss.requires_grad()) loss.backward();
    }
    if (loop.after_backward) loop.after_backward(*model, step);
    torch::nn::utils::clip_grad_norm_(leaves, spec.training.max_grad_norm);
    optimizer.Step(spec.training.learning_rate);
    optimizer.ClearGradients();
  }
  return CopyWeights(*model);
}

TEST(TrainerTest, DropRateZeroEqualsThePlainLoopBitForBit) {
  at::set_num_threads(1);
  for (const char* method : {"lora", "full"}) {
    JobSpec spec = TinySpec();
    spec.method = method;
    const std::vector<at::Tensor> plain = PlainLoop(spec);
    const auto ranks = TrainTiny(spec, 1);
    EXPECT_EQ(MaxDifference(CopyWeights(*ranks[0].model), plain), 0) << method;
  }
}

// What must hold whatever the masks are: rows that keep units here and there, or layers from the
// top.
class AllocationTest : public ::testing::TestWithParam<const char*> {
 protected:
  static JobSpec DropSpec(double rate, const std::string& masks) {
    JobSpec spec = trainer::DropSpec(rate, masks);
    spec.dropbp.allocation = GetParam();
    return spec;
  }
};

INSTANTIATE_TEST_SUITE_P(Allocations, AllocationTest, ::testing::Values("uniform", "depth"),
                         [](const auto& info) { return info.param; });

TEST_P(AllocationTest, TheSameJobTwiceGivesTheSameBits) {
  JobSpec spec = DropSpec(0.5, "balanced");
  spec.lora.dropout = 0.1;
  EXPECT_EQ(TrainTiny(spec, 1)[0].weight_hashes, TrainTiny(spec, 1)[0].weight_hashes);
}

TEST_P(AllocationTest, RanksHaveEqualMasksAndEqualWeightsAfterEveryStep) {
  for (const char* masks : {"balanced", "shared", "single"}) {
    const auto ranks = TrainTiny(DropSpec(0.5, masks), 2);
    EXPECT_THAT(ranks[0].weight_hashes, SizeIs(kTinySteps));
    EXPECT_EQ(ranks[0].weight_hashes, ranks[1].weight_hashes);
    std::set<uint64_t> different;
    for (int step = 0; step < kTinySteps; ++step) {
      different.insert(ranks[0].link->steps[step].mask_hash);
      EXPECT_EQ(ranks[0].link->steps[step].mask_hash, ranks[1].link->steps[step].mask_hash);
      EXPECT_EQ(ranks[0].link->steps[step].loss, ranks[1].link->steps[step].loss);
    }
    EXPECT_GT(different.size(), 1u) << masks;
  }
}

// A row for the whole step is the same for every number of ranks; balanced rows of the ruler belong
// to sequences, not to ranks. Only the order of fp32 sums differs then. Weights are of size 0.1.
TEST_P(AllocationTest, TwoRanksEqualOneRankOnTheSameGlobalBatch) {
  const std::string masks = GetParam() == std::string("uniform") ? "balanced" : "single";
  for (double rate : {0.0, 0.5}) {
    const auto one = TrainTiny(DropSpec(rate, masks), 1);
    const auto two = TrainTiny(DropSpec(rate, masks), 2);
    EXPECT_LE(MaxDifference(CopyWeights(*one[0].model), CopyWeights(*two[0].model)), 2e-5) << rate;
    for (int step = 0; step < kTinySteps; ++step) {
      EXPECT_NEAR(one[0].link->steps[step].loss, two[0].link->steps[step].loss, 1e-5);
      EXPECT_EQ(one[0].link->steps[step].mask_hash, two[0].link->steps[step].mask_hash);
    }
  }
}

// Nested rows are spread over the steps of each rank for themselves, so that one rank draws others
// than two. One process that runs the rows of both, in a loop of its own, comes to their weights.
TEST_P(AllocationTest, TwoRanksEqualOneProcessThatRunsTheirRows) {
  for (const char* method : {"lora", "full"}) {
    JobSpec spec = DropSpec(0.5, "balanced");
    spec.method = method;
    spec.training.learning_rate = 1e-3;
    spec.resources.ranks = 2;
    const auto ranks = TrainTiny(spec, 2);
    const DropPlan& plan = ranks[0].link->plans[0];
    const MaskPlan masks(plan, static_cast<uint64_t>(spec.training.seed), MaskRows(spec));
    const int groups = MaskGroups(spec);
    Loop loop;
    loop.masks = [&](int64_t step) {
      std::vector<std::vector<MaskRow>> micro_batches;
      for (const MaskRow& row : masks.Draw(step)) {
        if (micro_batches.empty() || std::ssize(micro_batches.back()) == groups)
          micro_batches.emplace_back();
        micro_batches.back().push_back(row);
      }
      return micro_batches;
    };
    loop.after_backward = [&](const Decoder& model, int64_t step) {
      if (ResolvedEstimator(spec) != "own") return;
      const std::vector<MaskRow> rows = masks.Draw(step);
      for (const TrainableParameter& parameter : model.trainable()) {
        at::Tensor gradient = parameter.value.grad();
        if (parameter.unit < 0 || !gradient.defined()) continue;
        const auto kept = std::count_if(rows.begin(), rows.end(),
                                        [&](const MaskRow& row) { return row[parameter.unit]; });
        gradient.mul_(static_cast<double>(rows.size()) / static_cast<double>(kept));
      }
    };
    EXPECT_LE(MaxDifference(CopyWeights(*ranks[0].model), PlainLoop(spec, loop)), 2e-5) << method;
  }
}

TEST(TrainerTest, FullFineTuningOnTwoRanksEqualsOneRank) {
  JobSpec spec = DropSpec(0.5, "balanced");
  spec.method = "full";
  spec.training.learning_rate = 1e-3;
  const auto one = TrainTiny(spec, 1);
  const auto two = TrainTiny(spec, 2);
  EXPECT_EQ(two[0].weight_hashes, two[1].weight_hashes);
  EXPECT_LE(MaxDifference(CopyWeights(*one[0].model), CopyWeights(*two[0].model)), 2e-5);
}

// Dropout too belongs to sequences, not to ranks.
TEST(TrainerTest, DropoutIsTheSameForEveryNumberOfRanks) {
  JobSpec spec = TinySpec();
  spec.lora.dropout = 0.3;
  const auto one = TrainTiny(spec, 1);
  const auto two = TrainTiny(spec, 2);
  for (int step = 0; step < kTinySteps; ++step) {
    EXPECT_NEAR(one[0].link->steps[step].loss, two[0].link->steps[step].loss, 1e-5);
  }
}

// Micro-batches of a step are padded to different lengths. A row of the ruler costs what is planned
// whatever its length; nested rows do so together, where they are of one micro-batch.
TEST_P(AllocationTest, EveryStepCostsThePlannedFlops) {
  JobSpec spec = DropSpec(0.5, "balanced");
  if (spec.dropbp.allocation == "depth") spec.training.micro_batch_size = 4;
  const auto ranks = TrainTiny(spec, 2);
  for (const TinyRank& rank : ranks) {
    for (const StepReport& report : rank.link->steps) {
      const double total = report.backward_flops_done + report.backward_flops_saved;
      EXPECT_NEAR(report.backward_flops_saved / total, rank.link->plans[0].planned, 1e-12);
    }
  }
}

// Bytes of the parameters of every unit that some row of the step keeps, from the masks alone.
int64_t ExpectedBytes(const Decoder& model, const std::vector<MaskRow>& rows) {
  int64_t bytes = 0;
  for (const TrainableParameter& parameter : model.trainable()) {
    bool live = parameter.unit < 0;
    for (const MaskRow& row : rows) live |= parameter.unit >= 0 && row[parameter.unit];
    if (live) bytes += parameter.value.numel() * 4;
  }
  return bytes;
}

TEST_P(AllocationTest, BytesSentEqualTheFormula) {
  for (const char* method : {"lora", "full"}) {
    JobSpec spec = DropSpec(0.7, "shared");
    spec.method = method;
    spec.resources.ranks = 2;
    const auto ranks = TrainTiny(spec, 2);
    const MaskPlan masks(ranks[0].link->plans[0], static_cast<uint64_t>(spec.training.seed),
                         MaskRows(spec));
    for (const TinyRank& rank : ranks) {
      const int64_t dense = ExpectedBytes(*rank.model, {MaskRow(kTinyUnits, true)});
      for (const StepReport& report : rank.link->steps) {
        EXPECT_EQ(report.gradient_bytes_sent, ExpectedBytes(*rank.model, masks.Draw(report.step)));
        EXPECT_EQ(report.gradient_bytes_dense, dense);
        EXPECT_LT(report.gradient_bytes_sent, dense);
      }
    }
  }
}

// A unit that no row of a step keeps takes no part in it: its step count says how often it was
// live.
TEST(TrainerTest, DroppedParametersKeepTheirMomentsAndStepCounts) {
  JobSpec spec = DropSpec(0.7, "shared");
  spec.training.micro_batch_size = 8;
  spec.training.weight_decay = 0.1;
  const auto ranks = TrainTiny(spec, 1);
  const MaskPlan masks(ranks[0].link->plans[0], static_cast<uint64_t>(spec.training.seed), 1);
  std::vector<int> live(kTinyUnits, 0);
  for (int step = 0; step < kTinySteps; ++step) {
    const MaskRow row = masks.Draw(step)[0];
    for (int unit = 0; unit < kTinyUnits; ++unit) live[unit] += row[unit] ? 1 : 0;
  }
  const auto& states = ranks[0].trainer->optimizer().states();
  const auto& parameters = ranks[0].model->trainable();
  const auto initial = CopyWeights(*TinyModel(spec));
  for (size_t i = 0; i < parameters.size(); ++i) {
    const int updates = live[parameters[i].unit];
    EXPECT_EQ(states[i].step.item<float>(), updates) << parameters[i].name;
    EXPECT_EQ(at::equal(parameters[i].value, initial[i]), updates == 0) << parameters[i].name;
    EXPECT_EQ(states[i].first_moment.abs().sum().item<float>() == 0, updates == 0);
  }
}

// The same with `advance`: every parameter takes part in every step, and one that was dropped moves
// on by its moments.
TEST(TrainerTest, DroppedParametersAdvanceIfAsked) {
  JobSpec spec = DropSpec(0.7, "shared");
  spec.training.micro_batch_size = 8;
  const auto skipped = TrainTiny(spec, 1);
  spec.dropbp.dropped_update = "advance";
  const auto advanced = TrainTiny(spec, 1);
  for (const auto& state : advanced[0].trainer->optimizer().states()) {
    EXPECT_EQ(state.step.item<float>(), kTinySteps);
  }
  EXPECT_NE(skipped[0].weight_hashes, advanced[0].weight_hashes);
}

// Reference: the gradient of a step, its units' parts multiplied by rows / rows that keep the unit.
// AdamW's first step moves by the sign alone, so plain gradients are compared through the norm.
TEST(TrainerTest, TheOwnEstimatorDividesAUnitsGradientByItsShareOfTheRows) {
  JobSpec spec = DropSpec(0.5, "balanced");
  spec.training.steps = 1;
  spec.training.max_grad_norm = 0;
  const auto paper = TrainTiny(spec, 1);
  spec.dropbp.estimator = "own";
  const auto own = TrainTiny(spec, 1);
  const MaskPlan masks(own[0].link->plans[0], static_cast<uint64_t>(spec.training.seed),
                       MaskRows(spec));
  const std::vector<MaskRow> rows = masks.Draw(0);
  ASSERT_THAT(rows, SizeIs(8));
  const auto& parameters = own[0].model->trainable();
  for (size_t i = 0; i < parameters.size(); ++i) {
    double kept = 0;
    for (const MaskRow& row : rows) kept += row[parameters[i].unit] ? 1 : 0;
    const at::Tensor expected =
        paper[0].trainer->optimizer().states()[i].first_moment * (8.0 / kept);
    const at::Tensor found = own[0].trainer->optimizer().states()[i].first_moment;
    EXPECT_LE((found - expected).abs().max().item<float>(),
              1e-5 * expected.abs().max().item<float>())
        << parameters[i].name;
  }
}

TEST(TrainerTest, TheUnbiasedEstimatorChangesGradientsAndNotTheLoss) {
  JobSpec spec = DropSpec(0.5, "balanced");
  const auto paper = TrainTiny(spec, 2);
  spec.dropbp.estimator = "unbiased";
  const auto unbiased = TrainTiny(spec, 2);
  EXPECT_EQ(unbiased[0].weight_hashes, unbiased[1].weight_hashes);
  EXPECT_GT(unbiased[0].link->steps[0].grad_norm, paper[0].link->steps[0].grad_norm);
  EXPECT_EQ(unbiased[0].link->steps[0].loss, paper[0].link->steps[0].loss);
}

// A step's sequences are rows then: so are an epoch's, and what a mask keeps.
TEST(TrainerTest, PackedRowsAreWhatStepsAndEpochsCountAndPlansHoldForThem) {
  JobSpec spec = DropSpec(0.5, "balanced");
  spec.dataset.packing = true;
  spec.training.steps = 0;
  spec.training.epochs = 2;
  const data::TokenizedDataset dataset = TinyDataset(spec);
  const auto rows = static_cast<int64_t>(dataset.rows.size());
  ASSERT_LT(rows, 30);
  const auto ranks = TrainTiny(spec, 2);
  EXPECT_EQ(ranks[0].trainer->total_steps(), (2 * rows + 7) / 8);
  EXPECT_EQ(ranks[0].weight_hashes, ranks[1].weight_hashes);
  EXPECT_EQ(TrainTiny(spec, 2)[0].weight_hashes, ranks[0].weight_hashes) << "deterministic";
  for (const StepReport& report : ranks[1].link->steps) {
    EXPECT_NEAR(
        report.backward_flops_saved / (report.backward_flops_done + report.backward_flops_saved),
        ranks[1].link->plans[0].planned, 1e-12);
  }
}

TEST(TrainerTest, AScheduleTakesTheTargetThroughItsStages) {
  JobSpec spec = DropSpec(0.6, "balanced");
  spec.training.steps = 20;
  spec.dropbp.schedule = "ramp";
  spec.dropbp.schedule_share = 0.5;
  const auto ranks = TrainTiny(spec, 2);
  const std::vector<PlanStage> stages = PlanStages(ranks[0].link->assignment().spec, 20);
  ASSERT_THAT(ranks[0].link->plans, SizeIs(stages.size()));
  EXPECT_EQ(ranks[0].link->steps.front().backward_flops_saved, 0);
  EXPECT_GT(ranks[0].link->steps.back().backward_flops_saved, 0);
  for (const StepReport& report : ranks[1].link->steps) {
    const DropPlan& plan = ranks[1].link->plans[report.plan_version - 1];
    EXPECT_NEAR(
        report.backward_flops_saved / (report.backward_flops_done + report.backward_flops_saved),
        plan.planned, 1e-12);
  }
  EXPECT_EQ(ranks[0].weight_hashes, ranks[1].weight_hashes);
}

// A stress test, by default in a short form.
TEST(TrainerTest, AlmostEverythingDroppedRunsWithoutAHang) {
  JobSpec spec = DropSpec(0.9, "balanced");
  spec.training.steps = StressSteps(300);
  spec.training.global_batch_size = 2;
  spec.training.micro_batch_size = 1;
  spec.training.learning_rate = 1e-4;
  const auto ranks = TrainTiny(spec, 2);
  EXPECT_THAT(ranks[0].weight_hashes, SizeIs(spec.training.steps));
  EXPECT_EQ(ranks[0].weight_hashes, ranks[1].weight_hashes);
}

TEST(TrainerTest, AStopRequestOnOneRankEndsAllRanksAfterTheSameStep) {
  std::vector<absl::Status> statuses;
  const auto ranks = TrainTiny(
      TinySpec(), 2,
      [](TinyRank& rank, ProcessGroup* group) {
        if (group->rank() == 1 && rank.trainer->next_step() == 2)
          rank.link->stop = StopRequest::kStop;
      },
      &statuses);
  for (const absl::Status& status : statuses)
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  for (const TinyRank& rank : ranks) EXPECT_THAT(rank.link->steps, SizeIs(3));
}

TEST(TrainerTest, ThreeNonFiniteStepsInARowEndTheJobAndChangeNothing) {
  std::vector<absl::Status> statuses;
  std::vector<uint64_t> before(2);
  const auto ranks = TrainTiny(
      TinySpec(), 2,
      [&](TinyRank& rank, ProcessGroup* group) {
        if (rank.trainer->next_step() != 1) return;
        at::NoGradGuard no_grad;
        at::Tensor(rank.model->trainable()[0].value).fill_(std::numeric_limits<float>::quiet_NaN());
        before[group->rank()] = WeightHash(*rank.model);
      },
      &statuses);
  for (int r = 0; r < 2; ++r) {
    EXPECT_EQ(statuses[r].code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(statuses[r].message()),
                AllOf(HasSubstr(absl::StrCat("rank ", r)), HasSubstr("step 3"),
                      HasSubstr("training.learning_rate")));
    EXPECT_EQ(WeightHash(*ranks[r].model), before[r]);
    EXPECT_THAT(ranks[r].link->steps, SizeIs(4));
  }
}

TEST(TrainerTest, ASpecForAnotherNumberOfRanksIsRefused) {
  JobSpec spec = TinySpec();
  spec.training.micro_batch_size = 3;
  const auto dataset = TinyDataset();
  const auto model = TinyModel(spec);
  MemoryLink link(AssignmentOf(0, 1, spec), nullptr);
  const auto trainer = Trainer::Make(&link, model.get(), dataset, nullptr);
  EXPECT_EQ(trainer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(trainer.status().message()),
              HasSubstr("training.global_batch_size: found 8"));
}

}  // namespace
}  // namespace dropbp::trainer
