#include "core/plan/estimator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp {
namespace {

using ::testing::ElementsAre;

DropPlan PlanWith(std::vector<uint32_t> keep_rates) {
  return {.keep_rates = std::move(keep_rates)};
}

TEST(EstimatorTest, CotangentsAreScaledByOneOverTheKeepRate) {
  EXPECT_THAT(KeepScales(PlanWith({kKeepOne, kKeepOne / 4, 0})), ElementsAre(1, 4, 1));
}

TEST(EstimatorTest, OwnGradientsAreDividedByTheShareOfRowsThatKeptTheUnit) {
  const std::vector<MaskRow> rows = {
      {true, true, false}, {true, false, false}, {true, true, false}};
  const auto scales = OwnScales(PlanWith({kKeepOne, kKeepOne / 2, kKeepOne / 2}), rows);
  EXPECT_THAT(scales, ElementsAre(1, 1.5, 1));
}

// A mean over the rows that kept a unit would be biased where some steps have none.
TEST(EstimatorTest, OwnGradientsAreDividedByTheKeepRateIfSomeStepsMayDropAllRows) {
  const std::vector<MaskRow> rows = {{true}, {false}};
  EXPECT_THAT(OwnScales(PlanWith({kKeepOne / 4}), rows), ElementsAre(4));
}

// Mean over many steps: exactly 1 for a unit whose gradient is 1 in every row.
TEST(EstimatorTest, OwnGradientsHaveTheRightMean) {
  DropPlan plan{.keep_rates = {kKeepOne / 8, kKeepOne - kKeepOne / 8},
                .unit_stratum = {0, 0},
                .kept_in_stratum = {1}};
  for (int row_count : {1, 4, 16}) {
    const MaskPlan masks(plan, /*seed=*/3, row_count);
    std::vector<double> sums(2, 0.0);
    constexpr int kSteps = 20000;
    for (int step = 0; step < kSteps; ++step) {
      const std::vector<MaskRow> rows = masks.Draw(step);
      const std::vector<double> scales = OwnScales(plan, rows);
      for (size_t unit = 0; unit < 2; ++unit) {
        for (const MaskRow& row : rows) sums[unit] += row[unit] ? scales[unit] / row_count : 0;
      }
    }
    EXPECT_NEAR(sums[0] / kSteps, 1, 0.1) << row_count;
    EXPECT_NEAR(sums[1] / kSteps, 1, 0.02) << row_count;
  }
}

}  // namespace
}  // namespace dropbp
