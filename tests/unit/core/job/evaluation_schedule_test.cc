#include "core/job/evaluation_schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace dropbp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int64_t> DueSteps(const EvaluationSchedule& schedule, int64_t total) {
  std::vector<int64_t> due;
  for (int64_t step = 0; step <= total; ++step) {
    if (schedule.IsDue(step)) due.push_back(step);
  }
  return due;
}

TEST(EvaluationScheduleTest, IsEverySoManyStepsAndAfterTheLast) {
  EvaluationSpec spec;
  spec.every_steps = 4;
  EXPECT_THAT(DueSteps({spec, 10, /*held_out=*/5}, 10), ElementsAre(4, 8, 10));
  EXPECT_THAT(DueSteps({spec, 8, 5}, 8), ElementsAre(4, 8));
  EXPECT_THAT(DueSteps({spec, 3, 5}, 3), ElementsAre(3));
}

TEST(EvaluationScheduleTest, IsATenthOfTheJobByDefault) {
  EXPECT_THAT(DueSteps({EvaluationSpec(), 40, 5}, 40),
              ElementsAre(4, 8, 12, 16, 20, 24, 28, 32, 36, 40));
  EXPECT_THAT(DueSteps({EvaluationSpec(), 3, 5}, 3), ElementsAre(1, 2, 3));
}

TEST(EvaluationScheduleTest, NeedsSamplesOrPrompts) {
  EvaluationSpec spec;
  EXPECT_THAT(DueSteps({spec, 10, 0}, 10), IsEmpty());
  spec.prompts = {"Hello"};
  spec.every_steps = 5;
  EXPECT_THAT(DueSteps({spec, 10, 0}, 10), ElementsAre(5, 10));
}

TEST(EvaluationScheduleTest, EndsAJobAfterSoManyEvaluationsWithoutABetterOne) {
  EvaluationSpec spec;
  spec.every_steps = 4;
  spec.patience = 2;
  const EvaluationSchedule schedule(spec, 22, 5);
  const BestEvaluation best = {.step = 8, .loss = 1};
  EXPECT_FALSE(schedule.EndsJob(8, best));
  EXPECT_FALSE(schedule.EndsJob(12, best));
  EXPECT_FALSE(schedule.EndsJob(15, best)) << "no evaluation";
  EXPECT_TRUE(schedule.EndsJob(16, best));
  EXPECT_FALSE(schedule.EndsJob(20, {.step = 16, .loss = 1}));
  EXPECT_TRUE(schedule.EndsJob(22, {.step = 16, .loss = 1})) << "the last one counts";
}

TEST(EvaluationScheduleTest, WithoutAnyFiniteLossPatienceCountsFromTheBeginning) {
  EvaluationSpec spec;
  spec.every_steps = 4;
  spec.patience = 2;
  EXPECT_FALSE(EvaluationSchedule(spec, 40, 5).EndsJob(4, {}));
  EXPECT_TRUE(EvaluationSchedule(spec, 40, 5).EndsJob(8, {}));
  spec.patience = 0;
  EXPECT_FALSE(EvaluationSchedule(spec, 40, 5).EndsJob(8, {}));
}

TEST(BestEvaluationTest, OnlyASmallerFiniteLossBeatsIt) {
  EXPECT_TRUE(BestEvaluation().IsBeatenBy(9));
  EXPECT_FALSE(BestEvaluation().IsBeatenBy(std::nan("")));
  const BestEvaluation best = {.step = 3, .loss = 1};
  EXPECT_TRUE(best.IsBeatenBy(0.5));
  EXPECT_FALSE(best.IsBeatenBy(1));
  EXPECT_FALSE(best.IsBeatenBy(std::nan("")));
}

TEST(EvaluationPassesTest, CountsBatchesOfARankAndTokensOfAnswers) {
  JobSpec spec;
  spec.training.micro_batch_size = 4;
  spec.resources.ranks = 2;
  EXPECT_EQ(EvaluationPasses(spec, 17), 3);
  spec.evaluation.prompts = {"a", "b", "c", "d", "e"};
  spec.evaluation.max_new_tokens = 10;
  EXPECT_EQ(EvaluationPasses(spec, 17), 3 + 20);
}

}  // namespace
}  // namespace dropbp
