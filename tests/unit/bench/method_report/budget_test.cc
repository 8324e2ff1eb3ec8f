#include "bench/method_report/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/method_report/models.h"

namespace dropbp::bench {
namespace {

using ::testing::DoubleEq;
using ::testing::DoubleNear;
using ::testing::ElementsAre;

std::vector<double> Uniform(double rate) { return std::vector<double>(64, rate); }

LayerTable Table() { return TableOf(Llama2With7B(), "lora"); }

Way Coins(double rate, int ranks) {
  return {"paper's text", "uniform", rate, 1, BernoulliRows(Uniform(rate), ranks)};
}

TEST(MeasureKeptShareTest, CountsFlopsAndTheSlowestRank) {
  LayerTable table;
  table.units = {{.backward_flops = 1}, {.backward_flops = 3}};
  // Two ranks keep 1 and 3 of 4; then both keep 4.
  Way way{"made up", "", /*planned=*/0.25};
  way.rows = [](int64_t step) {
    if (step == 1) return std::vector<MaskRow>{{true, true}, {true, true}};
    return std::vector<MaskRow>{{true, false}, {false, true}};
  };
  const KeptShare share = MeasureKeptShare(table, /*target=*/0.5, way, 2);
  EXPECT_THAT(share.mean, DoubleEq((0.5 + 1.5 + 2 + 2) / 4));
  EXPECT_THAT(share.slowest, DoubleEq((1.5 + 2) / 2));
  EXPECT_THAT(share.mean_of_planned, DoubleEq(share.mean * 0.5 / 0.75));
  EXPECT_GT(share.deviation, 0);
}

TEST(MeasureKeptShareTest, TakesTheRowsOfARankTogether) {
  LayerTable table;
  table.units = {{.backward_flops = 1}, {.backward_flops = 3}};
  // Each of two ranks keeps 4 of the 8 of its two rows.
  Way way{"made up", "", /*planned=*/0.5, /*rows_of_rank=*/2};
  way.rows = [](int64_t) {
    return std::vector<MaskRow>{{true, true}, {false, false}, {true, false}, {false, true}};
  };
  const KeptShare share = MeasureKeptShare(table, /*target=*/0.5, way, 3);
  EXPECT_THAT(share.mean, DoubleEq(1));
  EXPECT_THAT(share.slowest, DoubleEq(1));
  EXPECT_EQ(share.deviation, 0);
}

TEST(KeptShareTest, OfOursIsThePlannedOneInEveryStepOfEveryRank) {
  for (double target : {0.5, 0.75, 0.875}) {
    std::vector<std::string> ours;
    const std::vector<Way> ways = *AllWays(Table(), target, 8);
    for (const Way& way : ways) {
      if (way.masks != "ours") continue;
      ours.push_back(way.rates);
      const KeptShare share = MeasureKeptShare(Table(), target, way, 200);
      EXPECT_EQ(share.deviation, 0) << way.rates;
      EXPECT_THAT(share.mean_of_planned, DoubleNear(1, 1e-12)) << way.rates;
      EXPECT_THAT(share.mean, DoubleNear(1, 0.01)) << way.rates;
      EXPECT_THAT(share.slowest, DoubleNear(share.mean, 1e-12)) << way.rates;
    }
    EXPECT_THAT(ours, ElementsAre("uniform", "quadratic", "depth"));
  }
}

TEST(KeptShareTest, OfIndependentCoinsMeetsTheBudgetOnAverageOnly) {
  const KeptShare share = MeasureKeptShare(Table(), 0.5, Coins(0.5, 1), 4000);
  EXPECT_THAT(share.mean, DoubleNear(1, 0.01));
  EXPECT_THAT(share.deviation, DoubleNear(0.13, 0.02));
}

// Expected values: the exact distribution of the cost of 32 attentions and 32 MLPs, each kept with
// probability 1/8.
TEST(KeptShareTest, OfIndependentCoinsLeavesAStraggler) {
  const auto slowest = [](int ranks, int64_t steps) {
    return MeasureKeptShare(Table(), 0.875, Coins(0.875, ranks), steps).slowest;
  };
  EXPECT_THAT(slowest(8, 2000), DoubleNear(1.513, 0.03));
  EXPECT_THAT(slowest(64, 300), DoubleNear(1.882, 0.04));
}

TEST(KeptShareTest, OfCountedUnitsFallsShortOfTheBudget) {
  const auto mean = [](double rate) {
    const Way way{"authors' code", "uniform", rate, 1, CountingRows(Uniform(rate), rate, 1)};
    return MeasureKeptShare(Table(), rate, way, 4000).mean;
  };
  EXPECT_THAT(mean(0.5), DoubleNear(0.952, 0.01));
  EXPECT_THAT(mean(0.75), DoubleNear(0.916, 0.01));
  EXPECT_THAT(mean(0.875), DoubleNear(0.870, 0.01));
}

}  // namespace
}  // namespace dropbp::bench
