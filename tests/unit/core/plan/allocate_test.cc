#include "core/plan/allocate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/core/plan/allocation_instances.h"

namespace dropbp {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// How far rates are from satisfying the optimality conditions of the quadratic problem, all in
// relative terms: the budget; 0 <= p <= max; and one lambda with S p = lambda F inside, S p <=
// lambda F at max, and S p >= lambda F at 0 (which, as S p = 0 there, asks for lambda = 0 or never
// happens).
double KktResidual(const Instance& instance, const std::vector<double>& rates) {
  double lambda = 0;
  for (size_t u = 0; u < rates.size(); ++u) {
    const double cost = static_cast<double>(instance.costs[u]);
    if (rates[u] < instance.max_rate)
      lambda = std::max(lambda, instance.sensitivities[u] / cost * rates[u]);
  }
  double residual = FeasibilityResidual(instance, rates);
  for (size_t u = 0; u < rates.size(); ++u) {
    const double price =
        instance.sensitivities[u] / static_cast<double>(instance.costs[u]) * rates[u];
    const bool all_full = lambda == 0 && std::all_of(rates.begin(), rates.end(), [&](double rate) {
                            return rate == instance.max_rate || rate == 0;
                          });
    if (rates[u] < instance.max_rate) {
      if (lambda > 0) residual = std::max(residual, std::fabs(price - lambda) / lambda);
    } else if (lambda > 0) {
      residual = std::max(residual, (price - lambda) / lambda);
    } else if (!all_full && price > 0) {
      residual = std::max(residual, 1.0);
    }
  }
  return residual;
}

std::vector<double> Quadratic(const Instance& instance) {
  return RatesOf(Allocator::kQuadratic, instance);
}

TEST(AllocateDropRatesTest, IsAtTheOptimumOnRandomInstances) {
  PhiloxStream random(2024, 0, 0);
  for (int i = 0; i < 5000; ++i) {
    const Instance instance = RandomInstance(random);
    ASSERT_LE(KktResidual(instance, Quadratic(instance)), 1e-9)
        << "instance " << i << ", " << instance.costs.size() << " units, target "
        << instance.target;
  }
}

TEST(AllocateDropRatesTest, CannotBeBeatenByMovingFlopsBetweenTwoUnits) {
  PhiloxStream random(7, 0, 0);
  for (int i = 0; i < 200; ++i) {
    const Instance instance = RandomInstance(random);
    const std::vector<double> rates = Quadratic(instance);
    for (int move = 0; move < 50; ++move) {
      const size_t a = random.Below(static_cast<uint32_t>(rates.size()));
      const size_t b = random.Below(static_cast<uint32_t>(rates.size()));
      const double flops = 1e-3 * random.Uniform() *
                           static_cast<double>(std::min(instance.costs[a], instance.costs[b]));
      const double rate_a = rates[a] + flops / static_cast<double>(instance.costs[a]);
      const double rate_b = rates[b] - flops / static_cast<double>(instance.costs[b]);
      if (a == b || rate_a > instance.max_rate || rate_b < 0) continue;
      const double sa = instance.sensitivities[a];
      const double sb = instance.sensitivities[b];
      const double before = sa * rates[a] * rates[a] + sb * rates[b] * rates[b];
      EXPECT_GE(sa * rate_a * rate_a + sb * rate_b * rate_b, before * (1 - 1e-12));
    }
  }
}

TEST(AllocateDropRatesTest, SharesByCostOverSensitivity) {
  // lambda F / S with F = {1, 1}, S = {1, 3}: three quarters and one quarter of the budget.
  EXPECT_THAT(Quadratic({{1, 1}, {1, 3}, 0.4, 1}),
              ElementsAre(testing::DoubleEq(0.6), testing::DoubleEq(0.2)));
}

TEST(AllocateDropRatesTest, GivesEqualUnitsEqualRates) {
  EXPECT_THAT(Quadratic({{7, 7, 7, 7}, {2, 2, 2, 2}, 0.3, 0.95}), Each(testing::DoubleEq(0.3)));
}

TEST(AllocateDropRatesTest, FillsUnitsThatCostNothingToDropFirst) {
  EXPECT_THAT(Quadratic({{1, 1, 2}, {0, 5, 0}, 0.3, 0.9}),
              ElementsAre(testing::DoubleEq(0.4), 0, testing::DoubleEq(0.4)));
  // Full, and the rest of the budget goes to the others.
  EXPECT_THAT(Quadratic({{1, 1}, {0, 5}, 0.5, 0.9}),
              ElementsAre(0.9, testing::DoubleNear(0.1, 1e-15)));
  EXPECT_THAT(Quadratic({{3, 5}, {0, 0}, 0.5, 0.95}), Each(testing::DoubleEq(0.5)));
}

TEST(AllocateDropRatesTest, HasAnAnswerForEveryTargetBelowOne) {
  for (const double target : {0.0, 1e-12, 0.5, 0.95, 0.99, 0.999999}) {
    const Instance instance{{3, 8, 3, 8}, {1e-9, 4, 1e9, 0}, target, DefaultMaxUnitRate(target)};
    EXPECT_LE(KktResidual(instance, Quadratic(instance)), 1e-9) << target;
  }
}

TEST(AllocateDropRatesTest, DropsNothingAtTargetZero) {
  EXPECT_THAT(Quadratic({{1, 2, 3}, {1, 0, 2}, 0, 0.95}), Each(0.0));
}

TEST(AllocateDropRatesTest, HasOneAnswerWhenTheCapIsTheTarget) {
  EXPECT_THAT(Quadratic({{1, 2, 3}, {1, 0, 2}, 0.7, 0.7}), Each(testing::DoubleNear(0.7, 1e-12)));
}

TEST(AllocateDropRatesTest, StaysExactWhenSensitivitiesLieFarApart) {
  const Instance instance{{1000000000, 1000000000, 1, 1}, {1e-140, 1e-130, 1, 1e140}, 0.5, 0.95};
  EXPECT_LE(KktResidual(instance, Quadratic(instance)), 1e-9);
}

TEST(AllocateDropRatesTest, MeetsTheBudgetAtTheEndsOfDouble) {
  const Instance instance{{1000000000, 1000000000, 1, 1}, {5e-324, 1e-300, 1, 1.7e308}, 0.5, 0.95};
  double spent = 0;
  const std::vector<double> rates = Quadratic(instance);
  for (size_t u = 0; u < rates.size(); ++u) {
    EXPECT_GE(rates[u], 0);
    EXPECT_LE(rates[u], 0.95);
    spent += rates[u] * static_cast<double>(instance.costs[u]);
  }
  EXPECT_NEAR(spent / Total(instance.costs), 0.5, 1e-12);
}

TEST(AllocateDropRatesTest, UniformGivesEveryUnitTheTarget) {
  const auto rates = AllocateDropRates(Allocator::kUniform, {1, 9}, {4, 0}, 0.25, 0.95);
  EXPECT_THAT(*rates, ElementsAre(0.25, 0.25));
}

TEST(AllocateDropRatesTest, RefusesWhatHasNoAnswerAndSaysWhy) {
  const auto error = [](const Instance& i) {
    return std::string(
        AllocateDropRates(Allocator::kQuadratic, i.costs, i.sensitivities, i.target, i.max_rate)
            .status()
            .message());
  };
  EXPECT_THAT(error({{1, 2}, {1}, 0.5, 1}), HasSubstr("found 2 costs and 1 sensitivities"));
  EXPECT_THAT(error({{}, {}, 0.5, 1}), HasSubstr("at least 1"));
  EXPECT_THAT(error({{1}, {1}, 1, 1}), HasSubstr("found target 1, legal is 0 to below 1"));
  EXPECT_THAT(error({{1}, {1}, 0.5, 0.4}), HasSubstr("found largest unit rate 0.4"));
  EXPECT_THAT(error({{1}, {-1}, 0.5, 1}), HasSubstr("unit 0: found cost 1 and sensitivity -1"));
  EXPECT_THAT(error({{1}, {std::nan("")}, 0.5, 1}), HasSubstr("sensitivity nan"));
  EXPECT_THAT(error({{0}, {1}, 0.5, 1}), HasSubstr("found cost 0"));
}

TEST(DefaultMaxUnitRateTest, IsHighEnoughForEveryTarget) {
  EXPECT_EQ(DefaultMaxUnitRate(0), 0.95);
  EXPECT_EQ(DefaultMaxUnitRate(0.5), 0.95);
  EXPECT_DOUBLE_EQ(DefaultMaxUnitRate(0.98), 0.99);
}

TEST(ParseAllocatorTest, KnowsItsNames) {
  EXPECT_EQ(*ParseAllocator("uniform"), Allocator::kUniform);
  EXPECT_EQ(*ParseAllocator("quadratic"), Allocator::kQuadratic);
  EXPECT_EQ(*ParseAllocator("linear"), Allocator::kLinear);
  EXPECT_EQ(*ParseAllocator("neyman"), Allocator::kNeyman);
  EXPECT_THAT(std::string(ParseAllocator("greedy").status().message()),
              HasSubstr("legal is uniform, quadratic, linear or neyman"));
}

}  // namespace
}  // namespace dropbp
