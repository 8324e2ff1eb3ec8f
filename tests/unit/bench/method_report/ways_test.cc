#include "bench/method_report/ways.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/method_report/models.h"

namespace dropbp::bench {
namespace {

using ::testing::SizeIs;

LayerTable LoraTable() { return TableOf(Llama2With7B(), "lora"); }

// The height that a nested row keeps from; -1 if the row is not nested.
int64_t UnitsFromTheTop(const MaskRow& row) {
  const auto first = std::find(row.begin(), row.end(), true);
  return std::all_of(first, row.end(), [](bool kept) { return kept; }) ? row.end() - first : -1;
}

TEST(MasksOfTest, BalancedRowsAreTheGroupsOfEveryRank) {
  const MaskPlan masks =
      *MasksOf(LoraTable(), {.allocation = "depth", .target = 0.5, .ranks = 3, .rows = 8});
  EXPECT_EQ(masks.plan().block.rows, 8);
  EXPECT_EQ(masks.plan().block.groups, 8);
  EXPECT_THAT(masks.Draw(0), SizeIs(24));
  for (const MaskRow& row : masks.Draw(7)) EXPECT_GE(UnitsFromTheTop(row), 0);
}

TEST(MasksOfTest, SharedRowsAreTheMicroStepsOfAllRanks) {
  const MaskPlan masks = *MasksOf(
      LoraTable(), {.allocation = "depth", .target = 0.5, .ranks = 3, .rows = 4, .shared = true});
  EXPECT_EQ(masks.plan().block.rows, 4);
  EXPECT_EQ(masks.plan().block.groups, 1);
  EXPECT_THAT(masks.Draw(0), SizeIs(4));
}

TEST(MasksOfTest, QuadraticRatesFollowTheSensitivities) {
  std::vector<double> sensitivities(64, 1);
  sensitivities[0] = 1000;
  const DropPlan plan =
      MasksOf(LoraTable(), {.allocation = "quadratic", .target = 0.5}, sensitivities)->plan();
  EXPECT_LT(plan.DropRate(0), 0.1);
  EXPECT_GT(plan.DropRate(2), 0.25);
}

}  // namespace
}  // namespace dropbp::bench
