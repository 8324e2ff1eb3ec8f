// Evaluation while training: it changes nothing that is trained, all ranks decide alike, and a job
// that goes on from a checkpoint decides as one that was never disturbed.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/unit/worker/trainer/train/checkpoint_folder.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/checkpoint/part_state.h"

namespace dropbp::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

JobSpec EvaluatedSpec() {
  JobSpec spec = TinySpec();
  spec.dropbp.drop_rate = 0.5;
  spec.lora.dropout = 0.2;
  spec.evaluation.every_steps = 2;
  return spec;
}

// Beside TinySamples() some that are held out.
TinyData HeldOut(int count = 7) {
  TinyData data;
  data.evaluation_set.samples = TinySamples(40 + count);
  data.evaluation_set.samples.erase(data.evaluation_set.samples.begin(),
                                    data.evaluation_set.samples.begin() + 40);
  return data;
}

std::vector<TinyRank> Train(const JobSpec& spec, int world_size, const TinyData& data = HeldOut(),
                            const std::function<void(Assignment&)>& edit = nullptr) {
  return TrainTiny(spec, world_size, nullptr, nullptr, edit, data);
}

std::vector<int64_t> StepsOf(const std::vector<EvaluationReport>& reports) {
  std::vector<int64_t> steps;
  for (const EvaluationReport& report : reports) steps.push_back(report.step);
  return steps;
}

class EvaluationWorldTest : public ::testing::TestWithParam<int> {};

TEST_P(EvaluationWorldTest, LeavesNoTraceInTraining) {
  for (const char* method : {"lora", "full"}) {
    JobSpec spec = EvaluatedSpec();
    spec.method = method;
    const auto plain = Train(spec, GetParam(), {});
    const auto evaluated = Train(spec, GetParam());
    EXPECT_THAT(plain[0].link->evaluations, IsEmpty());
    EXPECT_THAT(StepsOf(evaluated[0].link->evaluations), testing::ElementsAre(2, 4, 6));
    for (int rank = 0; rank < GetParam(); ++rank) {
      EXPECT_EQ(evaluated[rank].weight_hashes, plain[rank].weight_hashes) << method;
      for (int step = 0; step < kTinySteps; ++step)
        EXPECT_EQ(evaluated[rank].link->steps[step].loss, plain[rank].link->steps[step].loss);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Worlds, EvaluationWorldTest, ::testing::Values(1, 2));

TEST(EvaluationTest, IsTheMeanLossOverSupervisedTokens) {
  at::set_num_threads(1);
  const JobSpec spec = EvaluatedSpec();
  const auto one = Train(spec, 1);
  const auto two = Train(spec, 2);
  const EvaluationSet set = HeldOut().evaluation_set;
  // One sample at a time, without padding.
  const at::NoGradGuard no_grad;
  double sum = 0;
  int64_t count = 0;
  one[0].model->SetTraining(false);
  for (int64_t i = 0; i < 7; ++i) {
    const MicroBatch micro = MakeMicroBatch(set.samples, {i}, at::kCPU);
    sum +=
        one[0].model->LossSum(one[0].model->Forward(micro.ids, {}), micro.targets).item<double>();
    count += set.samples[static_cast<size_t>(i)].SupervisedTokens();
  }
  const EvaluationReport& last = one[0].link->evaluations.back();
  EXPECT_EQ(last.supervised_tokens, count);
  EXPECT_NEAR(last.loss, sum / static_cast<double>(count), 1e-5);
  EXPECT_NEAR(two[0].link->evaluations.back().loss, last.loss, 1e-5);
  EXPECT_THAT(two[1].link->evaluations, IsEmpty()) << "rank 0 reports";
}

// Trained on one token, over and over; another one comes now and then in what is held out. So the
// validation loss falls while the one is learned, and rises when it is learned too well.
TinyData TurningData() {
  TinyData data;
  for (data::Sample& sample : data.samples) std::fill(sample.ids.begin(), sample.ids.end(), 3);
  data.evaluation_set.samples.assign(data.samples.begin(), data.samples.begin() + 7);
  for (data::Sample& sample : data.evaluation_set.samples) sample.ids.back() = 7;
  return data;
}

constexpr int64_t kTurningSteps = 28;

JobSpec TurningSpec() {
  JobSpec spec = EvaluatedSpec();
  spec.training.steps = kTurningSteps;
  spec.training.learning_rate = 0.03;
  spec.evaluation.every_steps = 1;
  return spec;
}

BestEvaluation BestOf(const std::vector<EvaluationReport>& reports) {
  BestEvaluation best;
  for (const EvaluationReport& report : reports) {
    if (best.IsBeatenBy(report.loss)) best = {.step = report.step, .loss = report.loss};
  }
  return best;
}

TEST(EvaluationTest, EndsTheJobWhenPatienceIsOverOnAllRanksAlike) {
  JobSpec spec = TurningSpec();
  spec.evaluation.patience = 2;
  const auto ranks = Train(spec, 2, TurningData());
  const std::vector<EvaluationReport>& reports = ranks[0].link->evaluations;
  const BestEvaluation best = BestOf(reports);
  EXPECT_GT(best.step, 1);
  ASSERT_LT(best.step + 2, kTurningSteps);
  EXPECT_EQ(reports.back().step, best.step + 2);
  for (const TinyRank& rank : ranks) {
    EXPECT_THAT(rank.link->steps, SizeIs(reports.size()));
    EXPECT_EQ(rank.trainer->next_step(), reports.back().step);
    EXPECT_EQ(rank.trainer->early_stop(),
              absl::StrFormat("no smaller validation loss in 2 evaluations; the least, %.4f, was "
                              "after %d steps",
                              best.loss, best.step));
  }
}

TEST(EvaluationTest, TheBestWeightsAreTheResult) {
  JobSpec spec = TurningSpec();
  spec.evaluation.result = "best";
  const auto ranks = Train(spec, 2, TurningData());
  const BestEvaluation best = BestOf(ranks[0].link->evaluations);
  ASSERT_LT(best.step, kTurningSteps);
  const auto at_best = static_cast<size_t>(best.step - 1);
  EXPECT_EQ(WeightHash(*ranks[0].model), ranks[1].weight_hashes[at_best]);
  EXPECT_NE(WeightHash(*ranks[1].model), ranks[1].weight_hashes[at_best]);
}

class EvaluationResumeTest : public ::testing::Test {
 protected:
  std::vector<TinyRank> TrainSaving(const JobSpec& spec, int world_size) {
    return Train(spec, world_size, TurningData(), [&](Assignment& assignment) {
      assignment.output_dir = folder_.RankFolder(assignment.rank);
    });
  }
  static std::vector<TinyRank> GoOn(const JobSpec& spec, int world_size,
                                    const std::string& checkpoint,
                                    const TinyData& data = TurningData()) {
    return Train(spec, world_size, data,
                 [&](Assignment& assignment) { assignment.checkpoint_dir = checkpoint; });
  }
  CheckpointFolder folder_;
};

TEST_F(EvaluationResumeTest, GoesOnToTheSameEndAndTheSameResult) {
  JobSpec spec = TurningSpec();
  spec.evaluation.patience = 3;
  spec.evaluation.result = "best";
  spec.checkpoint.every_steps = 1;
  const auto undisturbed = TrainSaving(spec, 2);
  const std::vector<EvaluationReport>& all = undisturbed[0].link->evaluations;
  ASSERT_GE(all.size(), 4u);
  for (int64_t step = 1; step < all.back().step; ++step) {
    SCOPED_TRACE(absl::StrCat("after ", step, " steps"));
    const auto resumed = GoOn(spec, 2, folder_.Complete(spec, 2, step));
    EXPECT_EQ(resumed[0].trainer->early_stop(), undisturbed[0].trainer->early_stop());
    EXPECT_EQ(resumed[0].trainer->next_step(), undisturbed[0].trainer->next_step());
    EXPECT_EQ(WeightHash(*resumed[0].model), WeightHash(*undisturbed[0].model));
    ASSERT_THAT(resumed[0].link->evaluations, SizeIs(all.size() - static_cast<size_t>(step)));
    EXPECT_EQ(resumed[0].link->evaluations.back().loss, all.back().loss);
  }
}

// With another number of ranks the part that holds the best values has another rank's parameters
// too.
TEST_F(EvaluationResumeTest, KeepsTheBestValuesWithAnotherNumberOfRanks) {
  JobSpec spec = TurningSpec();
  spec.evaluation.result = "best";
  spec.checkpoint.every_steps = 1;
  const auto undisturbed = TrainSaving(spec, 2);
  const int64_t last = kTurningSteps - 1;
  const auto resumed = GoOn(spec, 1, folder_.Complete(spec, 2, last));
  EXPECT_EQ(WeightHash(*resumed[0].model), WeightHash(*undisturbed[0].model));
}

// Number vectors of a part, by their bytes.
template <typename Number>
std::vector<Number> VectorIn(const hf::SafetensorsFile& part, const std::string& name) {
  const hf::TensorView& view = part.tensors().at(name);
  std::vector<Number> numbers(view.data.size() / sizeof(Number));
  std::memcpy(numbers.data(), view.data.data(), view.data.size());
  return numbers;
}

TEST_F(EvaluationResumeTest, CheckpointsTellTheLossesSinceTheJobBegan) {
  JobSpec spec = EvaluatedSpec();
  spec.checkpoint.every_steps = 1;
  const auto undisturbed = TrainSaving(spec, 2);
  const std::string third = folder_.Complete(spec, 2, 3);
  for (const int rank : {0, 1}) std::filesystem::remove_all(folder_.RankFolder(rank));
  Train(spec, 2, TurningData(), [&](Assignment& assignment) {
    assignment.output_dir = folder_.RankFolder(assignment.rank);
    assignment.checkpoint_dir = third;
  });
  const std::string path = folder_.Complete(spec, 2, 5) + "/";
  const auto part = hf::SafetensorsFile::Open(path + PartFileName(0, 2)).value();
  std::vector<double> losses, validation_losses;
  for (int step = 0; step < 5; ++step) losses.push_back(undisturbed[0].link->steps[step].loss);
  for (const int evaluation : {0, 1})
    validation_losses.push_back(undisturbed[0].link->evaluations[evaluation].loss);
  EXPECT_EQ(VectorIn<double>(*part, kLossesTensor), losses);
  EXPECT_THAT(VectorIn<int64_t>(*part, kValidationStepsTensor), testing::ElementsAre(2, 4));
  EXPECT_EQ(VectorIn<double>(*part, kValidationLossesTensor), validation_losses);
  const auto other = hf::SafetensorsFile::Open(path + PartFileName(1, 2)).value();
  EXPECT_FALSE(other->tensors().contains(kLossesTensor)) << "one copy is enough";
}

TEST_F(EvaluationResumeTest, SavesAtEachNewBest) {
  JobSpec spec = TurningSpec();
  spec.evaluation.result = "best";
  const auto ranks = TrainSaving(spec, 2);
  BestEvaluation best;
  std::vector<int64_t> wanted, saved;
  for (const EvaluationReport& report : ranks[0].link->evaluations) {
    if (!best.IsBeatenBy(report.loss)) continue;
    best = {.step = report.step, .loss = report.loss};
    if (report.step < kTurningSteps) wanted.push_back(report.step);
  }
  EXPECT_GT(wanted.size(), 1u);
  for (const CheckpointReport& report : ranks[1].link->checkpoints) saved.push_back(report.step);
  EXPECT_EQ(saved, wanted);
}

// What a stop leaves undone, whoever goes on does first.
TEST_F(EvaluationResumeTest, MakesTheEvaluationThatAStopLeftOut) {
  JobSpec spec = EvaluatedSpec();
  std::vector<absl::Status> statuses;
  const auto stopped = TrainTiny(
      spec, 1,
      [](TinyRank& rank, ProcessGroup*) {
        if (rank.trainer->next_step() == 3) rank.link->stop = StopRequest::kSaveAndStop;
      },
      &statuses,
      [&](Assignment& assignment) { assignment.output_dir = folder_.RankFolder(assignment.rank); },
      HeldOut());
  EXPECT_TRUE(absl::IsCancelled(statuses[0]));
  EXPECT_THAT(StepsOf(stopped[0].link->evaluations), testing::ElementsAre(2));
  const auto resumed = GoOn(spec, 1, folder_.Complete(spec, 1, 4), HeldOut());
  EXPECT_THAT(StepsOf(resumed[0].link->evaluations), testing::ElementsAre(4, 6));
  const auto undisturbed = Train(spec, 1);
  EXPECT_EQ(resumed[0].link->evaluations[0].loss, undisturbed[0].link->evaluations[1].loss);
}

// Seven samples of two each: one rank makes four batches, two ranks two rounds. A look at the
// request comes with each step, before each round, and after the answers.
class BrokenOffTest : public EvaluationResumeTest, public ::testing::WithParamInterface<int> {
 protected:
  // Stops in the evaluation after `step` steps, at the look of that number, and goes on.
  void BreakOff(int64_t step, int64_t looks, const std::function<void(JobSpec&)>& edit = {}) {
    SCOPED_TRACE(absl::StrCat("after ", step, " steps, ", looks, " looks"));
    JobSpec spec = EvaluatedSpec();
    if (edit) edit(spec);
    const int world_size = GetParam();
    const auto undisturbed = Train(spec, world_size);
    std::vector<absl::Status> ends;
    const auto stopped = TrainTiny(
        spec, world_size,
        [&](TinyRank& rank, ProcessGroup* group) {
          const bool last = group == nullptr || group->rank() + 1 == group->world_size();
          if (!last || rank.trainer->next_step() != step - 1) return;
          rank.link->stop = StopRequest::kSaveAndStop;
          rank.link->looks_before_stop = 1 + looks;
        },
        &ends,
        [&](Assignment& assignment) {
          assignment.output_dir = folder_.RankFolder(assignment.rank);
        },
        HeldOut());
    for (const absl::Status& end : ends) EXPECT_TRUE(absl::IsCancelled(end)) << end;
    EXPECT_THAT(stopped[0].link->evaluations, SizeIs(step / 2 - 1));
    for (const TinyRank& rank : stopped) {
      EXPECT_EQ(rank.trainer->next_step(), step);
      ASSERT_THAT(rank.link->checkpoints, Not(IsEmpty()));
      EXPECT_EQ(rank.link->checkpoints.back().step, step);
    }
    const auto resumed =
        GoOn(spec, world_size, folder_.Complete(spec, world_size, step), HeldOut());
    const std::vector<EvaluationReport>& all = undisturbed[0].link->evaluations;
    const std::vector<EvaluationReport>& again = resumed[0].link->evaluations;
    ASSERT_THAT(again, SizeIs(all.size() - static_cast<size_t>(step) / 2 + 1));
    for (size_t i = 0; i < again.size(); ++i) {
      const EvaluationReport& same = all[all.size() - again.size() + i];
      EXPECT_EQ(again[i].step, same.step);
      EXPECT_EQ(again[i].loss, same.loss);
    }
    for (int rank = 0; rank < world_size; ++rank)
      EXPECT_EQ(WeightHash(*resumed[rank].model), WeightHash(*undisturbed[rank].model));
  }
};

TEST_P(BrokenOffTest, BetweenAnyTwoBatchesAndMadeAgainInFull) {
  for (int64_t look = 0; look < 4 / GetParam(); ++look) BreakOff(4, look);
}

TEST_P(BrokenOffTest, AfterTheLastStepToo) {
  BreakOff(kTinySteps, 1);
  BreakOff(kTinySteps, 1, [](JobSpec& spec) { spec.evaluation.result = "best"; });
}

INSTANTIATE_TEST_SUITE_P(Worlds, BrokenOffTest, ::testing::Values(1, 2));

TEST_F(EvaluationResumeTest, AStopForGoodBreaksItOffAndSavesNothing) {
  std::vector<absl::Status> ends;
  const auto stopped = TrainTiny(
      EvaluatedSpec(), 2,
      [](TinyRank& rank, ProcessGroup* group) {
        if (group->rank() != 0 || rank.trainer->next_step() != 1) return;
        rank.link->stop = StopRequest::kStop;
        rank.link->looks_before_stop = 2;
      },
      &ends,
      [&](Assignment& assignment) { assignment.output_dir = folder_.RankFolder(assignment.rank); },
      HeldOut());
  for (const TinyRank& rank : stopped) {
    EXPECT_EQ(rank.trainer->next_step(), 2);
    EXPECT_THAT(rank.link->evaluations, IsEmpty());
    EXPECT_THAT(rank.link->checkpoints, IsEmpty());
  }
  for (const absl::Status& end : ends) EXPECT_TRUE(absl::IsCancelled(end)) << end;
}

}  // namespace
}  // namespace dropbp::trainer
