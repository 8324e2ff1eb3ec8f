#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/core/plan/allocation_instances.h"

namespace dropbp {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<double> Neyman(const Instance& instance) {
  return RatesOf(Allocator::kNeyman, instance);
}

// The optimality conditions: with w = sqrt(S / F) there is one c with q = c w inside the bounds,
// q >= c w at q_min = 1 - max_rate and q <= c w at 1. `c` is taken from the units inside, which
// must agree on it but for the rounding of p = 1 - q; a keep rate within 1e-9 of a bound counts as
// at it.
double KktResidual(const Instance& instance, const std::vector<double>& rates) {
  constexpr double kRounding = 1e-15;
  const double least = 1 - instance.max_rate;
  const auto weight = [&](size_t u) {
    return std::sqrt(instance.sensitivities[u]) / std::sqrt(static_cast<double>(instance.costs[u]));
  };
  double low = 0;                                         // c is at least this
  double high = std::numeric_limits<double>::infinity();  // and at most this
  for (size_t u = 0; u < rates.size(); ++u) {
    const double keep = 1 - rates[u];
    if (weight(u) == 0) continue;
    if (keep > least + 1e-9) low = std::max(low, (keep - kRounding) / weight(u));
    if (keep < 1 - 1e-9) high = std::min(high, (keep + kRounding) / weight(u));
  }
  double residual = FeasibilityResidual(instance, rates);
  if (low > high) residual = std::max(residual, (low - high) / low);
  // Units that cost nothing to drop keep more than they must only if all others are kept.
  for (size_t u = 0; u < rates.size(); ++u) {
    if (weight(u) > 0 || 1 - rates[u] <= least + 1e-9) continue;
    for (size_t v = 0; v < rates.size(); ++v) {
      if (weight(v) > 0) residual = std::max(residual, rates[v]);
    }
  }
  return residual;
}

TEST(AllocateNeymanTest, IsAtTheOptimumOnRandomInstances) {
  PhiloxStream random(2026, 0, 0);
  for (int i = 0; i < 5000; ++i) {
    const Instance instance = RandomInstance(random);
    ASSERT_LE(KktResidual(instance, Neyman(instance)), 1e-9)
        << "instance " << i << ", " << instance.costs.size() << " units, target "
        << instance.target;
  }
}

TEST(AllocateNeymanTest, CannotBeBeatenByMovingFlopsBetweenTwoUnits) {
  PhiloxStream random(8, 0, 0);
  for (int i = 0; i < 200; ++i) {
    const Instance instance = RandomInstance(random);
    const std::vector<double> rates = Neyman(instance);
    for (int move = 0; move < 50; ++move) {
      const size_t a = random.Below(static_cast<uint32_t>(rates.size()));
      const size_t b = random.Below(static_cast<uint32_t>(rates.size()));
      const double flops = 1e-3 * random.Uniform() *
                           static_cast<double>(std::min(instance.costs[a], instance.costs[b]));
      const double keep_a = 1 - rates[a] - flops / static_cast<double>(instance.costs[a]);
      const double keep_b = 1 - rates[b] + flops / static_cast<double>(instance.costs[b]);
      if (a == b || keep_a < 1 - instance.max_rate || keep_a <= 0 || keep_b > 1) continue;
      const double sa = instance.sensitivities[a];
      const double sb = instance.sensitivities[b];
      if ((sa > 0 && rates[a] == 1) || (sb > 0 && rates[b] == 1)) continue;
      const auto cost = [](double s, double keep) { return s > 0 ? s / keep : 0; };
      const double before = cost(sa, 1 - rates[a]) + cost(sb, 1 - rates[b]);
      EXPECT_GE(cost(sa, keep_a) + cost(sb, keep_b), before * (1 - 1e-9));
    }
  }
}

TEST(AllocateNeymanTest, KeepsByTheRootOfSensitivityOverCost) {
  // c sqrt(S / F) with F = {1, 1}, S = {1, 4}: one third and two thirds of what is kept.
  EXPECT_THAT(Neyman({{1, 1}, {1, 4}, 0.4, 1}),
              ElementsAre(testing::DoubleEq(0.6), testing::DoubleEq(0.2)));
  // A unit that would be kept more than once is kept; the others share the rest.
  EXPECT_THAT(
      Neyman({{1, 1, 1}, {1, 1, 100}, 0.5, 1}),
      ElementsAre(testing::DoubleEq(0.75), testing::DoubleEq(0.75), testing::DoubleNear(0, 1e-12)));
}

TEST(AllocateNeymanTest, GivesEqualUnitsEqualRates) {
  EXPECT_THAT(Neyman({{7, 7, 7, 7}, {2, 2, 2, 2}, 0.3, 0.95}),
              Each(testing::DoubleNear(0.3, 1e-12)));
}

TEST(AllocateNeymanTest, FillsUnitsThatCostNothingToDropFirst) {
  EXPECT_THAT(Neyman({{1, 1, 2}, {0, 5, 0}, 0.3, 0.9}),
              ElementsAre(testing::DoubleEq(0.4), 0, testing::DoubleEq(0.4)));
  EXPECT_THAT(Neyman({{1, 1}, {0, 5}, 0.5, 0.9}),
              ElementsAre(0.9, testing::DoubleNear(0.1, 1e-12)));
  EXPECT_THAT(Neyman({{3, 5}, {0, 0}, 0.5, 0.95}), Each(testing::DoubleEq(0.5)));
}

TEST(AllocateNeymanTest, HasAnAnswerForEveryTargetBelowOne) {
  for (const double target : {0.0, 1e-12, 0.5, 0.95, 0.99, 0.999999}) {
    const Instance instance{{3, 8, 3, 8}, {1e-9, 4, 1e9, 0}, target, DefaultMaxUnitRate(target)};
    EXPECT_LE(KktResidual(instance, Neyman(instance)), 1e-9) << target;
  }
  EXPECT_THAT(Neyman({{1, 2, 3}, {1, 0, 2}, 0, 0.95}), Each(0.0));
}

TEST(AllocateNeymanTest, HasOneAnswerWhenTheCapIsTheTarget) {
  EXPECT_THAT(Neyman({{1, 2, 3}, {1, 0, 2}, 0.7, 0.7}), Each(testing::DoubleNear(0.7, 1e-12)));
}

TEST(AllocateNeymanTest, StaysExactAtTheEndsOfDouble) {
  for (const double max_rate : {0.95, 1.0}) {
    const Instance instance{
        {1000000000, 1000000000, 1, 1}, {5e-324, 1e-300, 1, 1.7e308}, 0.5, max_rate};
    EXPECT_LE(KktResidual(instance, Neyman(instance)), 1e-9) << max_rate;
  }
}

}  // namespace
}  // namespace dropbp
