#include "core/plan/nested_masks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "core/plan/estimator.h"
#include "core/plan/mask_plan.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSeed = 42;

LayerTable SmolTable() { return BuildLayerTable(SmolLm2(), JobSpec(), 512).value(); }

DropPlan Plan(double target, int rows, int groups) {
  return MakeNestedPlan(SmolTable(), rows, groups, target, 1, 0).value();
}

int64_t Kept(const MaskRow& row) { return std::count(row.begin(), row.end(), true); }

int64_t Kept(const std::vector<MaskRow>& rows) {
  int64_t kept = 0;
  for (const MaskRow& row : rows) kept += Kept(row);
  return kept;
}

class NestedMasksTest : public ::testing::TestWithParam<double> {};

TEST_P(NestedMasksTest, EveryRowKeepsLayersFromAHeightUpAndNothingBelow) {
  const MaskPlan masks(Plan(GetParam(), 8, 4), kSeed, 16);
  for (int64_t step = 0; step < 200; ++step) {
    for (const MaskRow& row : masks.Draw(step)) {
      EXPECT_TRUE(std::is_sorted(row.begin(), row.end()));
      EXPECT_EQ(Kept(row) % 2, 0) << "both units of a layer go together";
    }
  }
}

TEST_P(NestedMasksTest, EveryStepOfEveryRankCostsWhatThePlanSays) {
  const DropPlan plan = Plan(GetParam(), 8, 4);
  const MaskPlan masks(plan, kSeed, 8 * 3);
  EXPECT_NEAR(plan.planned, GetParam(), 0.5 / (30 * 8)) << "to half a layer in one of the rows";
  for (int64_t step = 0; step < 500; ++step) {
    const std::vector<MaskRow> rows = masks.Draw(step);
    for (int rank = 0; rank < 3; ++rank) {
      const std::vector<MaskRow> own(rows.begin() + 8 * rank, rows.begin() + 8 * (rank + 1));
      EXPECT_DOUBLE_EQ(1 - static_cast<double>(Kept(own)) / (8 * 60), plan.planned);
    }
  }
}

TEST_P(NestedMasksTest, ASingleRowCostsItOverEightStepsAndIsTheSameOnEveryRank) {
  constexpr int64_t kFirst = 5;  // a window begins with the plan
  const DropPlan plan = MakeNestedPlan(SmolTable(), 1, 1, GetParam(), 2, kFirst).value();
  const MaskPlan masks(plan, kSeed, 4);
  EXPECT_NEAR(plan.planned, GetParam(), 0.5 / (30 * kNestedWindow));
  for (int64_t window = 0; window < 500; ++window) {
    int64_t kept = 0;
    for (int64_t step = 0; step < kNestedWindow; ++step) {
      const std::vector<MaskRow> rows = masks.Draw(kFirst + window * kNestedWindow + step);
      EXPECT_EQ(std::set<MaskRow>(rows.begin(), rows.end()).size(), 1u);
      EXPECT_TRUE(std::is_sorted(rows[0].begin(), rows[0].end()));
      EXPECT_GE(Kept(rows[0]), 2) << "one layer at least";
      kept += Kept(rows[0]);
    }
    EXPECT_DOUBLE_EQ(1 - static_cast<double>(kept) / (kNestedWindow * 60), plan.planned);
  }
}

TEST_P(NestedMasksTest, KeepsEachLayerNearlyAsOftenAsItsRateSays) {
  const DropPlan plan = Plan(GetParam(), 4, 4);
  const MaskPlan masks(plan, kSeed, 4);
  constexpr int64_t kDraws = 20000;
  std::vector<double> kept(60);
  for (int64_t step = 0; step < kDraws; ++step) {
    for (const MaskRow& row : masks.Draw(step)) {
      for (size_t unit = 0; unit < row.size(); ++unit) kept[unit] += row[unit];
    }
  }
  for (size_t unit = 0; unit < kept.size(); ++unit) {
    EXPECT_NEAR(kept[unit] / (4 * kDraws), 1 - plan.DropRate(unit), 0.1) << unit;
  }
}

TEST_P(NestedMasksTest, RatesRiseWithHeight) {
  const DropPlan plan = Plan(GetParam(), 4, 4);
  EXPECT_TRUE(std::is_sorted(plan.keep_rates.begin(), plan.keep_rates.end()));
  EXPECT_LE(plan.keep_rates.back(), kKeepOne);
}

TEST_P(NestedMasksTest, OwnScalesTakeTheMeanOverTheRowsThatKeptAUnit) {
  const DropPlan plan = Plan(GetParam(), 4, 4);
  const MaskPlan masks(plan, kSeed, 4);
  for (int64_t step = 0; step < 100; ++step) {
    const std::vector<MaskRow> rows = masks.Draw(step);
    const std::vector<double> scales = OwnScales(plan, rows);
    for (size_t unit = 0; unit < scales.size(); ++unit) {
      double sum = 0;
      for (const MaskRow& row : rows) sum += row[unit] ? scales[unit] / 4 : 0;
      EXPECT_DOUBLE_EQ(sum, sum > 0 ? 1 : 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rates, NestedMasksTest, ::testing::Values(0.3, 0.5, 0.75, 0.875),
                         [](const auto& info) {
                           return std::to_string(std::lround(info.param * 1000)) + "PerMille";
                         });

TEST(NestedPlanTest, DropsNothingAtTargetZero) {
  const DropPlan plan = Plan(0, 4, 4);
  EXPECT_EQ(plan.planned, 0);
  for (const MaskRow& row : MaskPlan(plan, kSeed, 4).Draw(7)) EXPECT_EQ(Kept(row), 60);
}

TEST(NestedPlanTest, KeepsOneLayerInABlockHoweverHighTheTarget) {
  const DropPlan plan = Plan(0.9999, 4, 4);
  EXPECT_EQ(Kept(MaskPlan(plan, kSeed, 4).Draw(7)), 2);
}

TEST(NestedPlanTest, KeepsOneLayerInASingleRowHoweverHighTheTarget) {
  const DropPlan plan = Plan(0.9999, 1, 1);
  EXPECT_DOUBLE_EQ(plan.planned, 1 - 1.0 / 30);
  for (int64_t step = 0; step < 100; ++step) {
    EXPECT_EQ(Kept(MaskPlan(plan, kSeed, 1).Draw(step)[0]), 2);
  }
}

TEST(NestedPlanTest, IsTheSameOnEveryMachine) {
  const DropPlan plan = Plan(0.75, 4, 4);
  EXPECT_EQ(PlanHash(plan), 9562031572525320950u);
  EXPECT_EQ(MaskHash(MaskPlan(plan, kSeed, 8).Draw(12345)), 5683706978837963525u);
  EXPECT_EQ(MaskHash(MaskPlan(Plan(0.75, 1, 1), kSeed, 1).Draw(12345)), 960168936587202468u);
}

TEST(NestedPlanTest, RefusesATableThatIsNotOfLayers) {
  LayerTable table = SmolTable();
  table.units.pop_back();
  EXPECT_THAT(std::string(MakeNestedPlan(table, 4, 4, 0.5, 1, 0).status().message()),
              HasSubstr("depth"));
}

}  // namespace
}  // namespace dropbp
