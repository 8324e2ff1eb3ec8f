#include "core/job/job_spec.h"

#include <gtest/gtest.h>

namespace dropbp {
namespace {

TEST(ResolvedMasksTest, PicksByMethodUnlessTheJobSays) {
  JobSpec spec;
  EXPECT_EQ(ResolvedMasks(spec), "balanced");
  spec.method = "full";
  EXPECT_EQ(ResolvedMasks(spec), "shared");
  spec.dropbp.masks = "balanced";
  EXPECT_EQ(ResolvedMasks(spec), "balanced");
}

TEST(MicroBatchesPerStepTest, CountsOverAllRanks) {
  JobSpec spec;
  spec.training.global_batch_size = 64;
  spec.training.micro_batch_size = 4;
  EXPECT_EQ(MicroBatchesPerStep(spec), 16);
}

TEST(TotalStepsTest, TakesTheStepsOfTheJobFirst) {
  JobSpec spec;
  spec.training.steps = 75;
  EXPECT_EQ(TotalSteps(spec, 10), 75);
}

TEST(TotalStepsTest, RoundsEpochsUpToWholeBatches) {
  JobSpec spec;
  spec.training.global_batch_size = 16;
  spec.training.epochs = 1;
  EXPECT_EQ(TotalSteps(spec, 32), 2);
  EXPECT_EQ(TotalSteps(spec, 33), 3);
  spec.training.epochs = 2.5;
  EXPECT_EQ(TotalSteps(spec, 32), 5);
  spec.training.epochs = 0.01;
  EXPECT_EQ(TotalSteps(spec, 32), 1);
}

TEST(TotalStepsTest, DoesNotAddAStepForARoundingError) {
  JobSpec spec;
  spec.training.global_batch_size = 1;
  spec.training.epochs = 0.07;  // 0.07 * 100 is a little more than 7 in double
  EXPECT_EQ(TotalSteps(spec, 100), 7);
}

TEST(ProbeStepTest, IsTheShareOfAllStepsRoundedDown) {
  JobSpec spec;
  spec.dropbp.allocation = "quadratic";
  EXPECT_EQ(ProbeStep(spec, 75), 7);
  EXPECT_EQ(ProbeStep(spec, 10), 1);
  EXPECT_EQ(ProbeStep(spec, 9), 0);
  spec.dropbp.probe_at = 0.29;  // 0.29 * 100 is a little less than 29 in double
  EXPECT_EQ(ProbeStep(spec, 100), 29);
}

TEST(ProbeStepTest, IsMinusOneWhereNothingDependsOnSensitivities) {
  JobSpec spec;
  spec.dropbp.drop_rate = 0;
  EXPECT_EQ(ProbeStep(spec, 100), -1);
  spec.dropbp.drop_rate = 0.5;
  for (const char* allocation : {"uniform", "depth"}) {
    spec.dropbp.allocation = allocation;
    EXPECT_EQ(ProbeStep(spec, 100), -1);
  }
}

TEST(ResolvedEstimatorTest, IsOwnWhereGradientsOfKeptUnitsAreExact) {
  JobSpec spec;
  EXPECT_EQ(ResolvedEstimator(spec), "own");
  spec.dropbp.allocation = "quadratic";
  EXPECT_EQ(ResolvedEstimator(spec), "paper");
  spec.dropbp.estimator = "unbiased";
  EXPECT_EQ(ResolvedEstimator(spec), "unbiased");
}

}  // namespace
}  // namespace dropbp
