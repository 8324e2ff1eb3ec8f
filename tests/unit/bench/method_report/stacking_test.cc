#include "bench/method_report/stacking.h"

#include <gtest/gtest.h>

namespace dropbp::bench {
namespace {

TEST(StackingSectionTest, StackedCotangentsComeToTheSame) {
  const Section section = *StackingSection({.max_length = 4});
  ASSERT_EQ(section.rows.size(), 9u);
  for (const auto& row : section.rows) {
    EXPECT_GT(row["gain"], 0);
    EXPECT_LE(row["largest_difference"], 1e-5);
  }
}

}  // namespace
}  // namespace dropbp::bench
