#include "worker/trainer/checkpoint/checkpoint_schedule.h"

#include <gtest/gtest.h>

namespace dropbp::trainer {
namespace {

class CheckpointScheduleTest : public ::testing::Test {
 protected:
  CheckpointSchedule Make(int64_t every_steps, double every_minutes, int rank = 0,
                          bool enabled = true) {
    return CheckpointSchedule({.every_steps = every_steps, .every_minutes = every_minutes}, rank,
                              enabled, clock_);
  }

  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
};

TEST_F(CheckpointScheduleTest, BySteps) {
  const CheckpointSchedule schedule = Make(/*every_steps=*/5, /*every_minutes=*/1);
  EXPECT_TRUE(schedule.IsDue(5, false));
  EXPECT_TRUE(schedule.IsDue(10, false));
  EXPECT_FALSE(schedule.IsDue(6, true)) << "steps alone count";
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(schedule.ClockAsks());
}

TEST_F(CheckpointScheduleTest, ByTheClockOfRankZero) {
  CheckpointSchedule first = Make(0, /*every_minutes=*/2);
  const CheckpointSchedule second = Make(0, 2, /*rank=*/1);
  EXPECT_FALSE(first.ClockAsks());
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(first.ClockAsks());
  EXPECT_FALSE(second.ClockAsks());
  EXPECT_TRUE(second.IsDue(17, /*asked=*/true)) << "as rank 0 asks";
  EXPECT_FALSE(second.IsDue(17, /*asked=*/false));
  first.NoteSaved();
  EXPECT_FALSE(first.ClockAsks());
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(first.ClockAsks());
}

TEST_F(CheckpointScheduleTest, NeverByItselfWithoutStepsAndMinutes) {
  const CheckpointSchedule schedule = Make(0, 0);
  clock_.Advance(absl::Hours(1000));
  EXPECT_FALSE(schedule.ClockAsks());
  EXPECT_FALSE(schedule.IsDue(1000, false));
  EXPECT_TRUE(schedule.enabled());
}

TEST_F(CheckpointScheduleTest, NeverWhereThereIsNoFolderForIt) {
  const CheckpointSchedule schedule = Make(5, 1, 0, /*enabled=*/false);
  clock_.Advance(absl::Hours(1));
  EXPECT_FALSE(schedule.ClockAsks());
  EXPECT_FALSE(schedule.IsDue(5, true));
}

}  // namespace
}  // namespace dropbp::trainer
