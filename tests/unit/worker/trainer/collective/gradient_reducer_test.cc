#include "worker/trainer/collective/gradient_reducer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"
#include "tests/unit/worker/trainer/collective/run_ranks.h"
#include "tests/unit/worker/trainer/stress.h"

namespace dropbp::trainer {
namespace {

using ::testing::ElementsAre;

constexpr int kUnits = 6;

// One parameter that is never dropped before the units, two in each unit, one after them.
std::vector<TrainableParameter> MakeParameters() {
  std::vector<TrainableParameter> parameters;
  const auto add = [&](int unit, int64_t rows, int64_t columns) {
    parameters.push_back({.name = absl::StrCat("p", parameters.size()),
                          .value = at::zeros({rows, columns}).set_requires_grad(true),
                          .unit = unit});
  };
  add(-1, 7, 3);
  for (int unit = 0; unit < kUnits; ++unit) {
    add(unit, 4 + unit, 8);
    add(unit, 8, 5);
  }
  add(-1, 1, 9);
  return parameters;
}

// Gradients of one rank: those of `keep` and of unit -1, as a backward would leave them.
void SetGradients(std::vector<TrainableParameter>& parameters, const MaskRow& keep, uint64_t seed) {
  at::manual_seed(seed);
  for (TrainableParameter& parameter : parameters) {
    const at::Tensor gradient = at::randn(parameter.value.sizes());
    const bool reached = parameter.unit < 0 || keep[parameter.unit];
    parameter.value.mutable_grad() = reached ? gradient : at::Tensor();
  }
}

TEST(BucketsTest, GoInBackwardOrderAndNeverMixUnits) {
  std::vector<int> units;
  std::vector<std::vector<size_t>> members;
  for (const Bucket& bucket : MakeBuckets(MakeParameters())) {
    units.push_back(bucket.unit);
    members.push_back(bucket.parameters);
  }
  EXPECT_THAT(units, ElementsAre(-1, 5, 4, 3, 2, 1, 0, -1));
  EXPECT_THAT(members[0], ElementsAre(13));
  EXPECT_THAT(members[1], ElementsAre(12, 11));
  EXPECT_THAT(members[7], ElementsAre(0));
}

TEST(BucketsTest, AreCutAtTheGivenSize) {
  const auto parameters = MakeParameters();
  const auto buckets = MakeBuckets(parameters, /*bucket_bytes=*/4);
  EXPECT_EQ(buckets.size(), parameters.size());
  EXPECT_EQ(DenseBytes(buckets), DenseBytes(MakeBuckets(parameters)));
}

TEST(BucketsTest, AUnitIsLiveIfAnyRowKeepsIt) {
  EXPECT_THAT(LiveUnits({{true, false, false}, {false, false, true}}),
              ElementsAre(true, false, true));
}

// What a dense all-reduce with zeros for everything dropped would give, added up in one process.
std::vector<at::Tensor> DenseSums(const std::vector<MaskRow>& rows, uint64_t seed) {
  auto parameters = MakeParameters();
  std::vector<at::Tensor> sums;
  for (const auto& parameter : parameters) sums.push_back(at::zeros(parameter.value.sizes()));
  for (size_t rank = 0; rank < rows.size(); ++rank) {
    SetGradients(parameters, rows[rank], seed + rank);
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].value.grad().defined()) sums[i] += parameters[i].value.grad();
    }
  }
  return sums;
}

TEST(GradientReducerTest, SelectiveReductionEqualsDenseReductionWithZeros) {
  const std::vector<MaskRow> rows = {{true, false, false, true, false, false},
                                     {true, false, true, false, false, false}};
  const std::vector<at::Tensor> expected = DenseSums(rows, 17);
  std::mutex generator;
  RunRanks(2, [&](int rank, ProcessGroup* group) {
    auto parameters = MakeParameters();
    {
      std::lock_guard lock(generator);
      SetGradients(parameters, rows[rank], 17 + rank);
    }
    GradientReducer reducer(parameters, group);
    ASSERT_TRUE(reducer.Reduce(LiveUnits(rows)).ok());
    for (size_t i = 0; i < parameters.size(); ++i) {
      const int unit = parameters[i].unit;
      const bool live = unit < 0 || unit == 0 || unit == 2 || unit == 3;
      ASSERT_EQ(parameters[i].value.grad().defined(), live) << parameters[i].name;
      if (!live) continue;
      EXPECT_TRUE(at::equal(parameters[i].value.grad(), expected[i])) << parameters[i].name;
    }
    EXPECT_EQ(reducer.bytes_sent(), LiveBytes(reducer.buckets(), LiveUnits(rows)));
    EXPECT_EQ(reducer.bytes_sent(), 4 * (21 + 9 + (4 + 6 + 7) * 8 + 3 * 40));
  });
}

// A loss that reaches the parameters of `keep` and of unit -1, the later ones nearer to it.
at::Tensor LossThrough(const std::vector<TrainableParameter>& parameters, const MaskRow& keep,
                       double factor) {
  at::Tensor loss = at::zeros({});
  for (const TrainableParameter& parameter : parameters) {
    if (parameter.unit >= 0 && !keep[parameter.unit]) continue;
    loss = loss * 1.0 + (parameter.value * factor).sum();
  }
  return loss;
}

TEST(GradientReducerTest, BucketsStartWhileBackwardRunsAndSumTheSame) {
  const std::vector<MaskRow> rows = {{true, false, false, true, false, false},
                                     {true, false, true, false, false, false}};
  RunRanks(2, [&](int rank, ProcessGroup* group) {
    auto parameters = MakeParameters();
    GradientReducer reducer(parameters, group);
    LossThrough(parameters, MaskRow(kUnits, true), 0.25).backward();  // an earlier micro-step
    reducer.Begin(std::vector<bool>(kUnits, true), rows[rank]);
    LossThrough(parameters, rows[rank], rank + 1).backward();
    ASSERT_TRUE(reducer.Finish().ok());
    EXPECT_EQ(reducer.started_early(), 8u);
    EXPECT_EQ(reducer.bytes_sent(), reducer.bytes_dense());
    for (const TrainableParameter& parameter : parameters) {
      float sum = 0.5;
      for (int r = 0; r < 2; ++r) {
        if (parameter.unit < 0 || rows[r][parameter.unit]) sum += static_cast<float>(r + 1);
      }
      EXPECT_TRUE(at::equal(parameter.value.grad(), at::full(parameter.value.sizes(), sum)))
          << parameter.name;
    }
  });
}

TEST(GradientReducerTest, ARankWhoseBackwardReachesNothingStartsEverythingAtTheEnd) {
  RunRanks(2, [&](int rank, ProcessGroup* group) {
    auto parameters = MakeParameters();
    GradientReducer reducer(parameters, group);
    const MaskRow mine(kUnits, rank == 0);
    reducer.Begin(MaskRow(kUnits, true), mine);
    if (rank == 0) LossThrough(parameters, mine, 3).backward();
    ASSERT_TRUE(reducer.Finish().ok());
    EXPECT_EQ(reducer.started_early(), rank == 0 ? 8u : 0u);
    for (const TrainableParameter& parameter : parameters) {
      EXPECT_TRUE(at::equal(parameter.value.grad(), at::full(parameter.value.sizes(), 3.0f)));
    }
  });
}

TEST(GradientReducerTest, ASingleRankSendsNothingAndGivesLiveParametersAGradient) {
  auto parameters = MakeParameters();
  SetGradients(parameters, MaskRow(kUnits, false), 3);
  GradientReducer reducer(parameters, nullptr);
  ASSERT_TRUE(reducer.Reduce({true, false, false, false, false, false}).ok());
  EXPECT_EQ(reducer.bytes_sent(), 0);
  EXPECT_EQ(reducer.bytes_dense(), 0);
  EXPECT_EQ(parameters[1].value.grad().abs().sum().item<float>(), 0);
  EXPECT_FALSE(parameters[3].value.grad().defined());
}

// A stress test, by default in a short form: random masks, everything but one unit dropped
// included. Ranks never lose step with one another.
TEST(GradientReducerTest, RandomStepsEndWithoutAHang) {
  std::vector<int64_t> bytes[3];
  RunRanks(3, [&](int rank, ProcessGroup* group) {
    auto parameters = MakeParameters();
    GradientReducer reducer(parameters, group, /*bucket_bytes=*/64);
    std::mt19937 random(5);
    for (int step = 0; step < StressSteps(300); ++step) {
      std::vector<MaskRow> rows(3, MaskRow(kUnits, false));
      const bool one_left = step % 10 == 0;
      for (MaskRow& row : rows) {
        for (int unit = 0; unit < kUnits; ++unit) row[unit] = !one_left && random() % 4 == 0;
      }
      rows[random() % 3][random() % kUnits] = true;
      for (auto& parameter : parameters) {
        const bool reached = parameter.unit < 0 || rows[rank][parameter.unit];
        parameter.value.mutable_grad() =
            reached ? at::full(parameter.value.sizes(), rank + 1.0f) : at::Tensor();
      }
      group->SetStep(step);
      ASSERT_TRUE(reducer.Reduce(LiveUnits(rows)).ok());
      bytes[rank].push_back(reducer.bytes_sent());
      ASSERT_EQ(bytes[rank].back(), LiveBytes(reducer.buckets(), LiveUnits(rows)));
      for (const auto& parameter : parameters) {
        float sum = 0;
        for (int r = 0; r < 3; ++r) {
          if (parameter.unit < 0 || rows[r][parameter.unit]) sum += static_cast<float>(r + 1);
        }
        if (!parameter.value.grad().defined()) {
          ASSERT_EQ(sum, 0);
        } else {
          ASSERT_TRUE(at::equal(parameter.value.grad(), at::full(parameter.value.sizes(), sum)));
        }
      }
    }
  });
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_EQ(bytes[0], bytes[2]);
}

}  // namespace
}  // namespace dropbp::trainer
