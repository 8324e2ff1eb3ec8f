#include "bench/method_report/budget.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/method_report/models.h"

namespace dropbp::bench {
namespace {

using ::testing::DoubleEq;
using ::testing::DoubleNear;

std::vector<double> Uniform(double rate) { return std::vector<double>(64, rate); }

LayerTable Table() { return TableOf(Llama2With7B(), "lora"); }

TEST(MeasureKeptShareTest, CountsFlopsAndTheSlowestRank) {
  LayerTable table;
  table.units = {{.backward_flops = 1}, {.backward_flops = 3}};
  // Two ranks keep 1 and 3 of 4; then both keep 4.
  const StepRows rows = [](int64_t step) {
    if (step == 1) return std::vector<MaskRow>{{true, true}, {true, true}};
    return std::vector<MaskRow>{{true, false}, {false, true}};
  };
  const KeptShare share = MeasureKeptShare(table, /*target=*/0.5, /*planned=*/0.25, 2, rows);
  EXPECT_THAT(share.mean, DoubleEq((0.5 + 1.5 + 2 + 2) / 4));
  EXPECT_THAT(share.slowest, DoubleEq((1.5 + 2) / 2));
  EXPECT_THAT(share.mean_of_planned, DoubleEq(share.mean * 0.5 / 0.75));
  EXPECT_GT(share.deviation, 0);
}

TEST(KeptShareTest, OfOursIsThePlannedOneInEveryStep) {
  for (double target : {0.5, 0.75, 0.875}) {
    const DropPlan plan = *MakeDropPlan(Table(), Uniform(target), target, 1, 0);
    const KeptShare share =
        MeasureKeptShare(Table(), target, plan.planned, 200, RulerRows(plan, 8));
    EXPECT_EQ(share.deviation, 0);
    EXPECT_THAT(share.mean_of_planned, DoubleNear(1, 1e-12));
    EXPECT_THAT(share.mean, DoubleNear(1, 0.01));
    EXPECT_THAT(share.slowest, DoubleNear(share.mean, 1e-12));
  }
}

TEST(KeptShareTest, OfIndependentCoinsMeetsTheBudgetOnAverageOnly) {
  const KeptShare share = MeasureKeptShare(Table(), 0.5, 0.5, 4000, BernoulliRows(Uniform(0.5), 1));
  EXPECT_THAT(share.mean, DoubleNear(1, 0.01));
  EXPECT_THAT(share.deviation, DoubleNear(0.13, 0.02));
}

// Expected values: the exact distribution of the cost of 32 attentions and 32 MLPs, each kept with
// probability 1/8.
TEST(KeptShareTest, OfIndependentCoinsLeavesAStraggler) {
  const auto slowest = [](int ranks, int64_t steps) {
    return MeasureKeptShare(Table(), 0.875, 0.875, steps, BernoulliRows(Uniform(0.875), ranks))
        .slowest;
  };
  EXPECT_THAT(slowest(8, 2000), DoubleNear(1.513, 0.03));
  EXPECT_THAT(slowest(64, 300), DoubleNear(1.882, 0.04));
}

TEST(KeptShareTest, OfCountedUnitsFallsShortOfTheBudget) {
  const auto mean = [](double rate) {
    return MeasureKeptShare(Table(), rate, rate, 4000, CountingRows(Uniform(rate), rate, 1)).mean;
  };
  EXPECT_THAT(mean(0.5), DoubleNear(0.952, 0.01));
  EXPECT_THAT(mean(0.75), DoubleNear(0.916, 0.01));
  EXPECT_THAT(mean(0.875), DoubleNear(0.870, 0.01));
}

}  // namespace
}  // namespace dropbp::bench
