#include "bench/method_report/original.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace dropbp::bench {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Pointwise;

int64_t Kept(const MaskRow& row) { return std::count(row.begin(), row.end(), true); }

TEST(GreedyRatesTest, RaisesTheUnitWithTheSmallestPriceByATenth) {
  // S = {1, 3}: the first unit goes ahead until its next tenth costs more than the other's.
  EXPECT_THAT(*GreedyRates({1, 3}, 0.5), ElementsAre(0.8, 0.2));
  EXPECT_THAT(*GreedyRates({1, 3}, 0.25), ElementsAre(0.4, 0.1));
}

TEST(GreedyRatesTest, OvershootsATargetBetweenTenths) {
  EXPECT_THAT(*GreedyRates({5, 5, 5, 5}, 0.51), ElementsAre(0.6, 0.5, 0.5, 0.5));
}

TEST(GreedyRatesTest, HasNoAnswerAboveNineTenths) {
  EXPECT_THAT(*GreedyRates({1, 2, 0}, 0.9), Each(0.9));
  EXPECT_EQ(GreedyRates({1, 2, 0}, 0.91).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(BernoulliSamplerTest, KeepsEachUnitAsOftenAsItsRateSays) {
  const std::vector<double> drop_rates = {0, 0.25, 0.5, 0.9, 1};
  BernoulliSampler sampler(drop_rates, 1);
  std::vector<double> dropped(drop_rates.size());
  constexpr int kDraws = 20'000;
  for (int i = 0; i < kDraws; ++i) {
    const MaskRow row = sampler.Draw();
    for (size_t u = 0; u < row.size(); ++u) dropped[u] += row[u] ? 0 : 1.0 / kDraws;
  }
  EXPECT_THAT(dropped, Pointwise(DoubleNear(0.015), drop_rates));
}

TEST(CountingSamplerTest, NeverKeepsMoreUnitsThanTheTargetLeaves) {
  CountingSampler sampler(std::vector<double>(64, 0.875), 0.875, 1);
  int64_t most = 0;
  int64_t least = 64;
  for (int i = 0; i < 2000; ++i) {
    const int64_t kept = Kept(sampler.Draw());
    most = std::max(most, kept);
    least = std::min(least, kept);
  }
  EXPECT_EQ(most, 8);
  EXPECT_LT(least, 5);
}

TEST(CountingSamplerTest, NeverKeepsAUnitWhoseRateIsOne) {
  CountingSampler sampler({1, 0, 0, 1}, 0.5, 1);
  for (int i = 0; i < 100; ++i) EXPECT_THAT(sampler.Draw(), ElementsAre(false, true, true, false));
}

}  // namespace
}  // namespace dropbp::bench
