#include "core/plan/drop_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/philox.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

DropPlan PlanOf(const LayerTable& table, const std::vector<double>& rates, double target) {
  auto plan = MakeDropPlan(table, rates, target, 1, 0);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.value_or(DropPlan());
}

DropPlan UniformPlan(const LayerTable& table, double target) {
  return PlanOf(table, std::vector<double>(table.units.size(), target), target);
}

std::vector<int64_t> StratumSums(const DropPlan& plan) {
  std::vector<int64_t> sums(plan.kept_in_stratum.size());
  for (size_t u = 0; u < plan.keep_rates.size(); ++u) {
    sums[static_cast<size_t>(plan.unit_stratum[u])] += plan.keep_rates[u];
  }
  return sums;
}

double KeptFlops(const LayerTable& table, const DropPlan& plan) {
  double flops = 0;
  for (size_t u = 0; u < table.units.size(); ++u) {
    flops += static_cast<double>(table.units[u].backward_flops) * (1 - plan.DropRate(u));
  }
  return flops;
}

struct Random {
  LayerTable table;
  std::vector<double> rates;
  double target = 0;
};

// Rates in [0, 1] that meet the target only roughly: rounding has to bring them there.
Random RandomRates(PhiloxStream& random) {
  Random result;
  std::vector<int64_t> costs;
  const uint32_t kinds = 1 + random.Below(3);
  const uint32_t units = kinds + random.Below(60);
  std::vector<int64_t> cost_of(kinds);
  for (int64_t& cost : cost_of) cost = 1 + random.Below(1000);
  double dropped = 0;
  double total = 0;
  for (uint32_t u = 0; u < units; ++u) {
    costs.push_back(cost_of[u % kinds]);
    const uint32_t special = random.Below(8);
    result.rates.push_back(special == 0 ? 0 : special == 1 ? 1 : random.Uniform());
    dropped += result.rates.back() * static_cast<double>(costs.back());
    total += static_cast<double>(costs.back());
  }
  result.table = TableWithCosts(costs);
  result.target = dropped / total;
  return result;
}

TEST(MakeDropPlanTest, MakesEveryStratumSumExactlyWhole) {
  PhiloxStream random(11, 0, 0);
  for (int i = 0; i < 2000; ++i) {
    const Random r = RandomRates(random);
    const DropPlan plan = PlanOf(r.table, r.rates, r.target);
    const std::vector<int64_t> sums = StratumSums(plan);
    for (size_t s = 0; s < sums.size(); ++s) {
      ASSERT_EQ(sums[s], int64_t{plan.kept_in_stratum[s]} * kKeepOne) << "instance " << i;
    }
    ASSERT_TRUE(std::all_of(plan.keep_rates.begin(), plan.keep_rates.end(),
                            [](uint32_t rate) { return rate <= kKeepOne; }));
  }
}

TEST(MakeDropPlanTest, KeepsAtLeastOneUnit) {
  for (const double target : {0.9, 0.99, 0.999999}) {
    for (const LayerTable& table :
         {TableOf(SmolLm2()), TableWithCosts({5}), TableWithCosts({1, 1000})}) {
      const DropPlan plan = UniformPlan(table, target);
      int kept = 0;
      for (int32_t n : plan.kept_in_stratum) kept += n;
      EXPECT_GE(kept, 1) << target;
    }
  }
}

TEST(MakeDropPlanTest, IsWithinHalfTheCheapestUnitOfTheTarget) {
  const LayerTable table = TableOf(SmolLm2());
  const double half_of_cheapest = 0.5 * static_cast<double>(table.units[0].backward_flops) /
                                  static_cast<double>(table.TotalBackwardFlops());
  for (int percent = 0; percent <= 98; ++percent) {
    const DropPlan plan = UniformPlan(table, percent / 100.0);
    EXPECT_NEAR(plan.planned, percent / 100.0, half_of_cheapest + 1e-12);
    EXPECT_NEAR(KeptFlops(table, plan) / static_cast<double>(table.TotalBackwardFlops()),
                1 - plan.planned, 1e-12);
  }
}

// Note [Whole units] in drop_plan.cc: floor or ceiling for all strata but the cheapest.
TEST(MakeDropPlanTest, ComesNearestToTheBudgetOfAllChoices) {
  PhiloxStream random(12, 0, 0);
  for (int i = 0; i < 300; ++i) {
    const double target = random.Uniform();
    const int64_t cheap = 1 + random.Below(100);
    const int64_t dear = cheap + 1 + random.Below(300);
    const int32_t cheap_units = 1 + static_cast<int32_t>(random.Below(30));
    const int32_t dear_units = 1 + static_cast<int32_t>(random.Below(30));
    std::vector<int64_t> costs(static_cast<size_t>(cheap_units), cheap);
    costs.insert(costs.end(), static_cast<size_t>(dear_units), dear);
    const LayerTable table = TableWithCosts(costs);
    const double budget = (1 - target) * static_cast<double>(table.TotalBackwardFlops());
    double nearest = std::numeric_limits<double>::infinity();
    for (int32_t n_dear = 0; n_dear <= dear_units; ++n_dear) {
      if (std::fabs(n_dear - (1 - target) * dear_units) >= 1) continue;
      for (int32_t n_cheap = n_dear == 0 ? 1 : 0; n_cheap <= cheap_units; ++n_cheap) {
        nearest = std::min(
            nearest, std::fabs(static_cast<double>(n_dear * dear + n_cheap * cheap) - budget));
      }
    }
    const DropPlan plan = UniformPlan(table, target);
    EXPECT_NEAR(std::fabs(KeptFlops(table, plan) - budget), nearest, 1e-6) << "instance " << i;
  }
}

// The nearest point with a given sum in [0, 1]^n is a shift of all rates by one number, clamped.
TEST(MakeDropPlanTest, MovesRatesOfAStratumByOneShift) {
  PhiloxStream random(13, 0, 0);
  for (int i = 0; i < 500; ++i) {
    const Random r = RandomRates(random);
    const DropPlan plan = PlanOf(r.table, r.rates, r.target);
    for (int32_t stratum = 0; stratum < r.table.strata; ++stratum) {
      double low = -1;
      double high = 1;
      for (size_t u = 0; u < r.rates.size(); ++u) {
        if (plan.unit_stratum[u] != stratum) continue;
        const double keep = 1 - plan.DropRate(u);
        const double shift = keep - (1 - r.rates[u]);
        if (keep > 0) low = std::max(low, shift);    // inside, or clamped to 1
        if (keep < 1) high = std::min(high, shift);  // inside, or clamped to 0
      }
      ASSERT_LE(low - high, 2.0 / kKeepOne) << "instance " << i;
    }
  }
}

TEST(MakeDropPlanTest, LeavesRatesThatAreWholeAlready) {
  const LayerTable table = TableWithCosts({4, 4, 4, 4});
  const DropPlan plan = PlanOf(table, {0.25, 0.75, 0.5, 0.5}, 0.5);
  EXPECT_THAT(plan.keep_rates,
              ElementsAre(kKeepOne / 4 * 3, kKeepOne / 4, kKeepOne / 2, kKeepOne / 2));
  EXPECT_THAT(plan.kept_in_stratum, ElementsAre(2));
  EXPECT_EQ(plan.planned, 0.5);
}

TEST(MakeDropPlanTest, KeepsEverythingAtDropRateZero) {
  const DropPlan plan = UniformPlan(TableOf(SmolLm2()), 0);
  EXPECT_THAT(plan.keep_rates, Each(kKeepOne));
  EXPECT_THAT(plan.kept_in_stratum, ElementsAre(30, 30));
  EXPECT_EQ(plan.planned, 0);
}

TEST(MakeDropPlanTest, CarriesVersionStepAndTarget) {
  const auto plan = MakeDropPlan(TableWithCosts({1, 1}), {0.5, 0.5}, 0.5, 2, 7);
  EXPECT_EQ(plan->version, 2);
  EXPECT_EQ(plan->first_step, 7);
  EXPECT_EQ(plan->target, 0.5);
}

TEST(MakeDropPlanTest, RefusesRatesThatDoNotFitTheTable) {
  const auto error = [](const LayerTable& table, const std::vector<double>& rates) {
    return std::string(MakeDropPlan(table, rates, 0.5, 1, 0).status().message());
  };
  EXPECT_THAT(error(TableWithCosts({1, 1}), {0.5}), HasSubstr("found 1 rates for 2 units"));
  EXPECT_THAT(error(TableWithCosts({1, 1}), {0.5, 1.5}),
              HasSubstr("unit 1: found rate 1.5, legal is 0 to 1"));
  EXPECT_THAT(error(TableWithCosts({1}), {std::nan("")}), HasSubstr("found rate nan"));
  std::vector<int64_t> costs;
  for (int64_t cost = 1; cost <= 17; ++cost) costs.push_back(cost);
  EXPECT_THAT(error(TableWithCosts(costs), std::vector<double>(17, 0.5)),
              HasSubstr("found 17 kinds"));
}

TEST(PlanHashTest, ChangesWithEachThingItCovers) {
  DropPlan plan = UniformPlan(TableOf(SmolLm2()), 0.5);
  const uint64_t hash = PlanHash(plan);
  EXPECT_EQ(PlanHash(plan), hash);
  DropPlan other = plan;
  other.version = 2;
  EXPECT_NE(PlanHash(other), hash);
  other = plan;
  other.first_step = 1;
  EXPECT_NE(PlanHash(other), hash);
  other = plan;
  other.keep_rates[59] ^= 1;
  EXPECT_NE(PlanHash(other), hash);
}

TEST(PlanHashTest, IsTheSameOnEveryMachine) {
  EXPECT_EQ(PlanHash(UniformPlan(TableOf(SmolLm2()), 0.875)), 0xfd3c770e3ca87940ull);
}

TEST(SpeedLimitTest, IsOneWithNothingDropped) {
  const LayerTable table = TableOf(SmolLm2());
  EXPECT_EQ(SpeedLimit(table, UniformPlan(table, 0), 0.3), 1);
}

TEST(SpeedLimitTest, CountsForwardAndHeadAsNotDropped) {
  LayerTable table = TableWithCosts({10, 10});
  for (Unit& unit : table.units) unit.forward_flops = 10;
  table.head_forward_flops = 4;
  table.head_backward_flops = 4;
  const DropPlan plan = UniformPlan(table, 0.5);  // keeps one of two units
  EXPECT_DOUBLE_EQ(SpeedLimit(table, plan, 0), 40.0 / 30.0);
  EXPECT_DOUBLE_EQ(SpeedLimit(table, plan, 0.5), 44.0 / 34.0);
}

}  // namespace
}  // namespace dropbp
