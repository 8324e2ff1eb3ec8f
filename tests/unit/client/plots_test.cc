#include "client/plots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace dropbp::client {
namespace {

using ::testing::ElementsAre;

TEST(BarTest, FillsItsShareOfTheWidth) {
  EXPECT_EQ(Bar(0, 8, false), "        ");
  EXPECT_EQ(Bar(0.5, 8, false), "####    ");
  EXPECT_EQ(Bar(1, 8, false), "########");
}

TEST(BarTest, DrawsEighthsWithBlockCharacters) {
  EXPECT_EQ(Bar(0.5 + 3.0 / 64, 8, true), "████▍   ");
  EXPECT_EQ(Bar(1, 2, true), "██");
  EXPECT_EQ(Bar(0.01, 2, true), "  ");
}

TEST(BarTest, StaysInsideForSharesOutOfRange) {
  EXPECT_EQ(Bar(-1, 4, false), "    ");
  EXPECT_EQ(Bar(7, 4, false), "####");
  EXPECT_EQ(Bar(std::nan(""), 4, false), "    ");
}

TEST(ColumnsTest, FillColumnsFromTheBottom) {
  EXPECT_THAT(Columns({0, 0.5, 1, 0.25}, 1, 4, false), ElementsAre("  #", "  #", " ##", " ###"));
  EXPECT_THAT(Columns({2, 1}, 2, 2, true), ElementsAre("█", "██"));
}

TEST(ColumnsTest, DrawEighthsWithBlockCharacters) {
  EXPECT_THAT(Columns({0.125, 0.5, 0.875}, 1, 1, true), ElementsAre("▁▄▇"));
}

TEST(ColumnsTest, DrawNothingForAHighestOfZeroAndStayInsideForMore) {
  EXPECT_THAT(Columns({0, 0}, 0, 2, false), ElementsAre("", ""));
  EXPECT_THAT(Columns({5, std::nan("")}, 1, 2, false), ElementsAre("#", "#"));
}

}  // namespace
}  // namespace dropbp::client
