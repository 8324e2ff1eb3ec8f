#include "client/format.h"

#include <gtest/gtest.h>

#include <limits>

namespace dropbp::client {
namespace {

TEST(FormatTest, DurationsHaveAtMostTwoUnits) {
  EXPECT_EQ(FormatSeconds(absl::Seconds(-3)), "0s");
  EXPECT_EQ(FormatSeconds(absl::Seconds(7.4)), "7s");
  EXPECT_EQ(FormatSeconds(absl::Seconds(59.6)), "1m 00s");
  EXPECT_EQ(FormatSeconds(absl::Seconds(92)), "1m 32s");
  EXPECT_EQ(FormatSeconds(absl::Minutes(125)), "2h 05m");
  EXPECT_EQ(FormatSeconds(absl::Hours(76)), "3d 04h");
}

TEST(FormatTest, CountsHaveThreeFiguresAndADecimalPrefix) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(950), "950");
  EXPECT_EQ(FormatCount(1234), "1.23 k");
  EXPECT_EQ(FormatCount(12345678), "12.3 M");
  EXPECT_EQ(FormatCount(4.56e14), "456 T");
}

TEST(FormatTest, LossShowsSmallAndBrokenValues) {
  EXPECT_EQ(FormatLoss(1.23456), "1.2346");
  EXPECT_EQ(FormatLoss(0.00012), "1.20e-04");
  EXPECT_EQ(FormatLoss(0), "0.0000");
  EXPECT_EQ(FormatLoss(std::numeric_limits<double>::infinity()), "inf");
}

TEST(FormatTest, AnAbsentTimeIsADash) { EXPECT_EQ(FormatTime({}), "-"); }

}  // namespace
}  // namespace dropbp::client
