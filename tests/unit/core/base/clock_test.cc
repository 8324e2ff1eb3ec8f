#include "core/base/clock.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace dropbp {
namespace {

TEST(ManualClockTest, StandsStillUntilItIsMoved) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  ManualClock clock(start);
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(absl::Seconds(15));
  EXPECT_EQ(clock.Now(), start + absl::Seconds(15));
}

TEST(SystemClockTest, TellsTheMachinesTime) {
  const absl::Time before = absl::Now();
  const absl::Time told = SystemClock().Now();
  EXPECT_LE(before, told);
  EXPECT_LE(told, absl::Now());
}

}  // namespace
}  // namespace dropbp
