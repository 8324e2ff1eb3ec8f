#include "core/plan/traffic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/plan/mask_plan.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

DropPlan UniformPlan(const LayerTable& table, double rate) {
  return MakeDropPlan(table, std::vector<double>(table.units.size(), rate), rate, 1, 0).value();
}

// Rates that rise from unit to unit, within each stratum.
DropPlan UnevenPlan(const LayerTable& table) {
  std::vector<double> rates;
  for (size_t u = 0; u < table.units.size(); ++u) {
    rates.push_back(0.9 * static_cast<double>(u) / static_cast<double>(table.units.size() - 1));
  }
  return MakeDropPlan(table, rates, 0.5, 1, 0).value();
}

double CountedFactor(const LayerTable& table, const MaskPlan& masks, int64_t steps) {
  double live = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<MaskRow> rows = masks.Draw(step);
    live += static_cast<double>(table.fixed_trainable_elements);
    for (size_t unit = 0; unit < table.units.size(); ++unit) {
      if (std::any_of(rows.begin(), rows.end(), [&](const MaskRow& row) { return row[unit]; }))
        live += static_cast<double>(table.units[unit].trainable_elements);
    }
  }
  return live / static_cast<double>(steps) / static_cast<double>(table.TrainableElements());
}

TEST(TrafficTest, IsThePublishedFactorOfFullTuningOfLlama2With7B) {
  const LayerTable table = TableOf(Llama2With7B(), FullTuning());
  EXPECT_NEAR(TrafficFactor(table, UniformPlan(table, 0.5), 1), 0.519, 5e-4);
  EXPECT_NEAR(TrafficFactor(table, UniformPlan(table, 0.75), 1), 0.279, 5e-4);
  EXPECT_NEAR(TrafficFactor(table, UniformPlan(table, 0.875), 1), 0.159, 5e-4);
}

TEST(TrafficTest, IsOneWithoutDropping) {
  const LayerTable table = TableOf(SmolLm2(), FullTuning());
  EXPECT_DOUBLE_EQ(TrafficFactor(table, UniformPlan(table, 0), 1), 1);
}

TEST(TrafficTest, LivesWithRowsTimesTheKeepRateUpToOne) {
  const LayerTable table = TableOf(SmolLm2());
  const DropPlan plan = UniformPlan(table, 0.75);
  EXPECT_DOUBLE_EQ(LiveProbability(plan, 0, 1), 1 - plan.DropRate(0));
  EXPECT_DOUBLE_EQ(LiveProbability(plan, 0, 2), 2 * (1 - plan.DropRate(0)));
  EXPECT_EQ(LiveProbability(plan, 0, 8), 1);
}

TEST(TrafficTest, EqualsACountOverManyDrawnSteps) {
  constexpr int64_t kSteps = 20'000;
  for (const JobSpec& spec : {JobSpec(), FullTuning()}) {
    const LayerTable table = TableOf(SmolLm2(), spec);
    const DropPlan plan = UnevenPlan(table);
    for (const int rows : {1, 2, 3, 7}) {
      const double counted = CountedFactor(table, MaskPlan(plan, 11, rows), kSteps);
      // Each step's share is within [0, 1], so 4 standard errors are at most 2 / sqrt(steps).
      EXPECT_NEAR(TrafficFactor(table, plan, rows), counted,
                  2 / std::sqrt(static_cast<double>(kSteps)))
          << spec.method << ", " << rows << " rows";
    }
  }
}

// The probability itself, unit by unit: over all offsets of the ruler a unit of keep rate v is live
// in exactly min(2^24, rows * v) of them, so the count over many steps tells it apart from
// independent rows, 1 - (1 - q)^rows.
TEST(TrafficTest, CountsEachUnitLiveAsOftenAsItsProbabilitySays) {
  constexpr int64_t kSteps = 40'000;
  const LayerTable table = TableOf(SmolLm2());
  const DropPlan plan = UnevenPlan(table);
  const MaskPlan masks(plan, 3, 3);
  std::vector<int64_t> live(table.units.size());
  for (int64_t step = 0; step < kSteps; ++step) {
    const std::vector<MaskRow> rows = masks.Draw(step);
    for (size_t unit = 0; unit < live.size(); ++unit)
      live[unit] += rows[0][unit] || rows[1][unit] || rows[2][unit] ? 1 : 0;
  }
  for (size_t unit = 0; unit < live.size(); ++unit) {
    const double expected = LiveProbability(plan, unit, 3);
    const double error = std::sqrt(expected * (1 - expected) / kSteps);
    EXPECT_NEAR(static_cast<double>(live[unit]) / kSteps, expected, 4.5 * error + 1e-9) << unit;
  }
}

}  // namespace
}  // namespace dropbp
