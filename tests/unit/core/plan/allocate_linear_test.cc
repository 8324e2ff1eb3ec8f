#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/unit/core/plan/allocation_instances.h"

namespace dropbp {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

std::vector<double> Linear(const Instance& instance) {
  return RatesOf(Allocator::kLinear, instance);
}

// The optimality conditions: there is one price of a FLOP, not below S / F of any unit that drops
// something, and not above that of any unit that could drop more. Rates within 1e-12 of a bound
// count as at it.
double KktResidual(const Instance& instance, const std::vector<double>& rates) {
  double dearest_dropped = 0;
  double cheapest_left = std::numeric_limits<double>::infinity();
  for (size_t u = 0; u < rates.size(); ++u) {
    const double price = instance.sensitivities[u] / static_cast<double>(instance.costs[u]);
    if (rates[u] > 1e-12) dearest_dropped = std::max(dearest_dropped, price);
    if (rates[u] < instance.max_rate - 1e-12) cheapest_left = std::min(cheapest_left, price);
  }
  const double gap =
      dearest_dropped > cheapest_left ? (dearest_dropped - cheapest_left) / dearest_dropped : 0;
  return std::max(FeasibilityResidual(instance, rates), gap);
}

TEST(AllocateLinearTest, IsAtTheOptimumOnRandomInstances) {
  PhiloxStream random(2025, 0, 0);
  for (int i = 0; i < 5000; ++i) {
    const Instance instance = RandomInstance(random);
    ASSERT_LE(KktResidual(instance, Linear(instance)), 1e-9)
        << "instance " << i << ", " << instance.costs.size() << " units, target "
        << instance.target;
  }
}

TEST(AllocateLinearTest, FillsUnitsByWhatAFlopOfThemCosts) {
  // S / F is 1, 1/4, 2: the second is filled, the first takes the rest.
  EXPECT_THAT(Linear({{1, 4, 1}, {1, 1, 2}, 0.7, 0.9}),
              ElementsAre(testing::DoubleNear(0.6, 1e-12), 0.9, 0));
}

TEST(AllocateLinearTest, GivesTiesOneRateWhateverTheirOrder) {
  EXPECT_THAT(Linear({{7, 7, 7, 7}, {2, 2, 2, 2}, 0.3, 0.95}), Each(testing::DoubleEq(0.3)));
  EXPECT_THAT(Linear({{1, 2, 1}, {1, 2, 5}, 0.3, 1}),
              ElementsAre(testing::DoubleEq(0.4), testing::DoubleEq(0.4), 0));
}

TEST(AllocateLinearTest, FillsUnitsThatCostNothingToDropFirst) {
  EXPECT_THAT(Linear({{1, 1, 2}, {0, 5, 0}, 0.3, 0.9}),
              ElementsAre(testing::DoubleEq(0.4), 0, testing::DoubleEq(0.4)));
  EXPECT_THAT(Linear({{3, 5}, {0, 0}, 0.5, 0.95}), Each(testing::DoubleEq(0.5)));
}

TEST(AllocateLinearTest, HasAnAnswerForEveryTargetBelowOne) {
  for (const double target : {0.0, 1e-12, 0.5, 0.95, 0.99, 0.999999}) {
    const Instance instance{{3, 8, 3, 8}, {1e-9, 4, 1e9, 0}, target, DefaultMaxUnitRate(target)};
    EXPECT_LE(KktResidual(instance, Linear(instance)), 1e-9) << target;
  }
  EXPECT_THAT(Linear({{1, 2, 3}, {1, 0, 2}, 0, 0.95}), Each(0.0));
}

TEST(AllocateLinearTest, StaysExactAtTheEndsOfDouble) {
  const Instance instance{{1000000000, 1000000000, 1, 1}, {5e-324, 1e-300, 1, 1.7e308}, 0.5, 0.95};
  EXPECT_LE(KktResidual(instance, Linear(instance)), 1e-9);
}

}  // namespace
}  // namespace dropbp
