#include "bench/method_report/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::bench {
namespace {

using ::testing::DoubleNear;

// Its optimum at target 0.4 without a cap is 0.6, 0.2: p_u = lambda F_u / S_u.
const Instance kTwoUnits = {.costs = {1, 1}, .sensitivities = {1, 3}};

TEST(QuadraticObjectiveTest, WeighsSquaresBySensitivity) {
  EXPECT_THAT(QuadraticObjective(kTwoUnits, {0.6, 0.2}), DoubleNear(0.18 + 0.06, 1e-12));
}

TEST(DroppedShareTest, WeighsRatesByCost) {
  EXPECT_THAT(DroppedShare({.costs = {1, 3}, .sensitivities = {1, 1}}, {1, 0}),
              DoubleNear(0.25, 1e-12));
}

TEST(KktResidualTest, IsZeroAtTheOptimumAlone) {
  EXPECT_LE(KktResidual(kTwoUnits, {0.6, 0.2}, 0.4, 1), 1e-12);
  EXPECT_GT(KktResidual(kTwoUnits, {0.5, 0.3}, 0.4, 1), 0.1);     // another price for each
  EXPECT_GT(KktResidual(kTwoUnits, {0.3, 0.1}, 0.4, 1), 0.1);     // half the budget
  EXPECT_GT(KktResidual(kTwoUnits, {0.6, 0.2}, 0.4, 0.5), 0.09);  // above the cap
}

TEST(KktResidualTest, LetsAUnitAtTheCapBeCheaper) {
  EXPECT_LE(KktResidual(kTwoUnits, {0.5, 0.3}, 0.4, 0.5), 1e-12);
  EXPECT_GT(KktResidual({.costs = {1, 1}, .sensitivities = {9, 3}}, {0.5, 0.3}, 0.4, 0.5), 0.1);
}

TEST(GreedyOverOptimumTest, IsOneWhereTenthsOfEqualUnitsAreOptimal) {
  EXPECT_THAT(*GreedyOverOptimum({.costs = {2, 2}, .sensitivities = {5, 5}}, 0.4),
              DoubleNear(1, 1e-9));
}

TEST(GreedyOverOptimumTest, PaysForIgnoringCosts) {
  // Both units get 0.5; the optimum drops the dearer one more.
  EXPECT_GT(*GreedyOverOptimum({.costs = {1, 3}, .sensitivities = {1, 1}}, 0.5), 1.2);
  EXPECT_FALSE(GreedyOverOptimum(kTwoUnits, 0.95).ok());
}

TEST(AllocationSectionTest, SaysWhereTheGreedyRuleHasNoAnswer) {
  const Section section = *AllocationSection(3, "", {});
  ASSERT_EQ(section.rows.size(), 8u);
  for (const auto& row : section.rows) {
    EXPECT_EQ(row["greedy_failures"], row["drop_rate"] > 0.9 ? 3 : 0);
    EXPECT_LE(row["kkt_residual"], 1e-9);
  }
}

}  // namespace
}  // namespace dropbp::bench
