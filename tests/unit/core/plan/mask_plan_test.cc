#include "core/plan/mask_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

// Rates that differ from unit to unit, as an allocation gives them: rising with the unit's index.
DropPlan UnevenPlan(const LayerTable& table, double target) {
  std::vector<double> rates(table.units.size());
  for (size_t u = 0; u < rates.size(); ++u) {
    const double tilt = 2.0 * static_cast<double>(u) / static_cast<double>(rates.size()) - 1;
    rates[u] = target + tilt * std::min(target, 1 - target);
  }
  const auto plan = MakeDropPlan(table, rates, target, 1, 0);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.value_or(DropPlan());
}

std::vector<int32_t> KeptInStrata(const DropPlan& plan, const MaskRow& row) {
  std::vector<int32_t> kept(plan.kept_in_stratum.size());
  for (size_t u = 0; u < row.size(); ++u) kept[static_cast<size_t>(plan.unit_stratum[u])] += row[u];
  return kept;
}

TEST(MaskPlanTest, KeepsTheSameNumberOfUnitsOfEachStratumInEveryRow) {
  for (const double target : {0.0, 0.5, 0.75, 0.875, 0.97}) {
    const DropPlan plan = UnevenPlan(TableOf(SmolLm2()), target);
    for (const int rows : {1, 3, 8}) {
      const MaskPlan masks(plan, 42, rows);
      for (int64_t step = 0; step < 500; ++step) {
        for (const MaskRow& row : masks.Draw(step))
          ASSERT_EQ(KeptInStrata(plan, row), plan.kept_in_stratum);
      }
    }
  }
}

TEST(MaskPlanTest, KeepsEachUnitInFloorOrCeilingOfItsShareOfTheRows) {
  const DropPlan plan = UnevenPlan(TableOf(SmolLm2()), 0.75);
  for (const int rows :
       {1, 2, 3, 7, 8, 64}) {  // with and without a whole number of marks between rows
    const MaskPlan masks(plan, 1, rows);
    for (int64_t step = 0; step < 300; ++step) {
      std::vector<int> kept(plan.keep_rates.size());
      for (const MaskRow& row : masks.Draw(step)) {
        for (size_t u = 0; u < row.size(); ++u) kept[u] += row[u];
      }
      for (size_t u = 0; u < kept.size(); ++u) {
        const int64_t share = int64_t{plan.keep_rates[u]} * rows;
        ASSERT_GE(kept[u], share / kKeepOne);
        ASSERT_LE(kept[u], (share + kKeepOne - 1) / kKeepOne);
      }
    }
  }
}

TEST(MaskPlanTest, KeepsEachUnitInEachRowWithItsKeepRate) {
  const DropPlan plan = UnevenPlan(TableOf(SmolLm2()), 0.875);
  constexpr int kRows = 2;
  constexpr int kSteps = 1000000;
  const MaskPlan masks(plan, 3, kRows);
  std::vector<std::vector<int>> kept(kRows, std::vector<int>(plan.keep_rates.size()));
  for (int64_t step = 0; step < kSteps; ++step) {
    const std::vector<MaskRow> rows = masks.Draw(step);
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t u = 0; u < rows[r].size(); ++u) kept[r][u] += rows[r][u];
    }
  }
  for (const std::vector<int>& row : kept) {
    for (size_t u = 0; u < row.size(); ++u) {
      const double q = 1 - plan.DropRate(u);
      EXPECT_NEAR(row[u], q * kSteps, 4 * std::sqrt(kSteps * q * (1 - q))) << "unit " << u;
    }
  }
}

TEST(MaskPlanTest, DrawsEveryPairOfUnitsOfAStratumTogether) {
  // With a fixed order of units, systematic sampling would never keep some pairs.
  const LayerTable table = TableWithCosts({1, 1, 1, 1, 1, 1});
  const auto plan = MakeDropPlan(table, std::vector<double>(6, 2.0 / 3), 2.0 / 3, 1, 0);
  const MaskPlan masks(*plan, 5, 1);
  std::vector<std::vector<int>> together(6, std::vector<int>(6));
  constexpr int kSteps = 30000;
  for (int64_t step = 0; step < kSteps; ++step) {
    const MaskRow row = masks.Draw(step)[0];
    for (size_t a = 0; a < 6; ++a) {
      for (size_t b = 0; b < a; ++b) together[a][b] += row[a] && row[b];
    }
  }
  const double share = 1.0 / 15;  // two of six, all pairs alike
  for (size_t a = 0; a < 6; ++a) {
    for (size_t b = 0; b < a; ++b) {
      EXPECT_NEAR(together[a][b], kSteps * share, 4 * std::sqrt(kSteps * share * (1 - share)));
    }
  }
}

TEST(MaskPlanTest, DependsOnSeedAndStepAndNothingElse) {
  const DropPlan plan = UnevenPlan(TableOf(SmolLm2()), 0.5);
  const MaskPlan masks(plan, 1, 4);
  const auto later = masks.Draw(1000);
  EXPECT_NE(masks.Draw(1001), later);
  EXPECT_EQ(masks.Draw(1000), later);
  EXPECT_EQ(MaskPlan(plan, 1, 4).Draw(1000), later);
  EXPECT_NE(MaskPlan(plan, 2, 4).Draw(1000), later);
}

// Values of an independent implementation (exact fractions) of the protocol in mask_plan.h. A
// change here breaks jobs that resume.
TEST(MaskPlanTest, DrawsTheSameBitsOnEveryMachineAndInEveryRelease) {
  const DropPlan uneven = UnevenPlan(TableOf(SmolLm2()), 0.875);
  EXPECT_EQ(MaskHash(MaskPlan(uneven, 0, 1).Draw(0)), 0xa32907f1bc150b60ull);
  EXPECT_EQ(MaskHash(MaskPlan(uneven, 0, 8).Draw(1)), 0x4bfc317803fc652dull);
  EXPECT_EQ(MaskHash(MaskPlan(uneven, 0x123456789abcdefull, 3).Draw(int64_t{1} << 40)),
            0x0c2cee1a952ff7cdull);
  const DropPlan even = UnevenPlan(TableWithCosts(std::vector<int64_t>(160, 1)), 0.5);
  EXPECT_EQ(MaskHash(MaskPlan(even, 7, 64).Draw(99)), 0x596a340a15103ac7ull);
}

TEST(MaskPlanTest, KeepsAllUnitsAtDropRateZero) {
  const MaskPlan masks(UnevenPlan(TableOf(SmolLm2()), 0), 0, 2);
  for (const MaskRow& row : masks.Draw(5)) EXPECT_EQ(row, MaskRow(60, true));
}

TEST(MaskPlanDeathTest, EndsTheProcessWithoutRows) {
  EXPECT_DEATH(MaskPlan(UnevenPlan(TableOf(SmolLm2()), 0.5), 0, 0), "CHECK failed");
}

}  // namespace
}  // namespace dropbp
