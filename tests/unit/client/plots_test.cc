#include "client/plots.h"

#include <gtest/gtest.h>

#include <cmath>

namespace dropbp::client {
namespace {

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

}  // namespace
}  // namespace dropbp::client
