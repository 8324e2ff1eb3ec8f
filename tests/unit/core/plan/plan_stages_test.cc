#include "core/plan/plan_stages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/allocate.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

JobSpec Spec(const char* schedule = "constant") {
  JobSpec spec;
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.drop_rate = 0.8;
  spec.dropbp.schedule = schedule;
  return spec;
}

JobSpec UniformSpec(const char* schedule) {
  JobSpec spec = Spec(schedule);
  spec.dropbp.allocation = "uniform";
  return spec;
}

std::vector<int64_t> FirstSteps(const std::vector<PlanStage>& stages) {
  std::vector<int64_t> steps;
  for (const PlanStage& stage : stages) steps.push_back(stage.first_step);
  return steps;
}

std::vector<int64_t> ProbedSteps(const std::vector<PlanStage>& stages) {
  std::vector<int64_t> steps;
  for (const PlanStage& stage : stages) {
    if (stage.probe) steps.push_back(stage.first_step);
  }
  return steps;
}

double TargetOf(const std::vector<PlanStage>& stages, int64_t step) {
  double target = -1;
  for (const PlanStage& stage : stages) {
    if (stage.first_step <= step) target = stage.target;
  }
  return target;
}

double MeanTarget(const std::vector<PlanStage>& stages, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t step = begin; step < end; ++step) sum += TargetOf(stages, step);
  return sum / static_cast<double>(end - begin);
}

TEST(PlanStagesTest, HasOneStageForAConstantTargetWithoutAProbe) {
  EXPECT_THAT(PlanStages(UniformSpec("constant"), 100),
              ElementsAre(PlanStage{.version = 1, .first_step = 0, .target = 0.8}));
}

TEST(PlanStagesTest, BeginsASecondStageAtTheProbe) {
  EXPECT_THAT(PlanStages(Spec(), 100),
              ElementsAre(PlanStage{.version = 1, .first_step = 0, .target = 0.8},
                          PlanStage{.version = 2, .first_step = 10, .target = 0.8, .probe = true}));
}

TEST(PlanStagesTest, HasAPlanBeforeAProbeThatRunsBeforeTheFirstStep) {
  JobSpec spec = Spec();
  spec.dropbp.probe_at = 0;
  EXPECT_THAT(PlanStages(spec, 100),
              ElementsAre(PlanStage{.version = 1, .first_step = 0, .target = 0.8},
                          PlanStage{.version = 2, .first_step = 0, .target = 0.8, .probe = true}));
}

TEST(PlanStagesTest, ProbesAgainEverySoManySteps) {
  JobSpec spec = Spec();
  spec.dropbp.probe_every = 30;
  EXPECT_THAT(FirstSteps(PlanStages(spec, 100)), ElementsAre(0, 10, 40, 70));
  EXPECT_THAT(ProbedSteps(PlanStages(spec, 101)), ElementsAre(10, 40, 70, 100));
}

TEST(PlanStagesTest, RampRisesFromZeroInEightEqualStages) {
  const std::vector<PlanStage> stages = PlanStages(UniformSpec("ramp"), 400);
  EXPECT_THAT(FirstSteps(stages), ElementsAre(0, 10, 20, 30, 40, 50, 60, 70, 80));
  for (size_t i = 0; i < stages.size(); ++i) {
    EXPECT_EQ(stages[i].version, static_cast<int32_t>(i) + 1);
    EXPECT_DOUBLE_EQ(stages[i].target, 0.1 * static_cast<double>(i));
  }
}

TEST(PlanStagesTest, RampHasSevenSixteenthsOfTheTargetOnAverageWhileItRises) {
  const std::vector<PlanStage> stages = PlanStages(UniformSpec("ramp"), 400);
  EXPECT_NEAR(MeanTarget(stages, 0, 80), 0.8 * 7 / 16, 1e-12);
  EXPECT_NEAR(MeanTarget(stages, 80, 400), 0.8, 1e-12);
  // Stages of unequal length, where the steps cannot be divided by 8.
  EXPECT_NEAR(MeanTarget(PlanStages(UniformSpec("ramp"), 500), 0, 100), 0.8 * 7 / 16, 3e-3);
}

TEST(PlanStagesTest, AnnealFallsToZeroInEightEqualStages) {
  const std::vector<PlanStage> stages = PlanStages(UniformSpec("anneal"), 400);
  EXPECT_THAT(FirstSteps(stages), ElementsAre(0, 320, 330, 340, 350, 360, 370, 380, 390));
  EXPECT_DOUBLE_EQ(stages[0].target, 0.8);
  EXPECT_DOUBLE_EQ(stages[1].target, 0.7);
  EXPECT_EQ(stages.back().target, 0);
}

TEST(PlanStagesTest, AProbeWhereAStageBeginsIsPartOfIt) {
  JobSpec spec = Spec("ramp");  // stages every 10 steps, the probe before step 40
  const std::vector<PlanStage> stages = PlanStages(spec, 400);
  EXPECT_THAT(stages, SizeIs(9));
  EXPECT_THAT(ProbedSteps(stages), ElementsAre(40));
  EXPECT_DOUBLE_EQ(stages[4].target, 0.4);
}

TEST(PlanStagesTest, AProbeWithinAStageDividesItAndKeepsItsTarget) {
  JobSpec spec = Spec("ramp");
  spec.dropbp.probe_at = 0.1125;  // before step 45
  const std::vector<PlanStage> stages = PlanStages(spec, 400);
  EXPECT_THAT(FirstSteps(stages), ElementsAre(0, 10, 20, 30, 40, 45, 50, 60, 70, 80));
  EXPECT_DOUBLE_EQ(stages[5].target, 0.4);
}

TEST(PlanStagesTest, WhereNothingIsDroppedYetAProbeWaitsUntilSomethingIs) {
  JobSpec spec = Spec("ramp");
  spec.dropbp.probe_at = 0.0125;  // before step 5, where the target is still 0
  EXPECT_THAT(ProbedSteps(PlanStages(spec, 400)), ElementsAre(10));
  spec.dropbp.probe_every = 10;
  EXPECT_EQ(ProbedSteps(PlanStages(spec, 400)).front(), 10);
  spec = Spec("anneal");
  spec.dropbp.probe_at = 0.99;  // in the last stage, whose target is 0
  EXPECT_THAT(ProbedSteps(PlanStages(spec, 400)), IsEmpty());
  spec = Spec();
  spec.dropbp.drop_rate = 0;
  EXPECT_THAT(ProbedSteps(PlanStages(spec, 100)), IsEmpty());
}

TEST(PlanStagesTest, AreInOrderAndWithinTheJobHoweverShortItIs) {
  for (const char* schedule : {"constant", "ramp", "anneal"}) {
    for (int64_t total = 1; total <= 10; ++total) {
      for (const double share : {0.0, 0.2, 0.5, 0.9999999999999999}) {
        for (const int64_t every : {0, 1, 3}) {
          JobSpec spec = Spec(schedule);
          spec.dropbp.schedule_share = share;
          spec.dropbp.probe_every = every;
          const std::vector<PlanStage> stages = PlanStages(spec, total);
          SCOPED_TRACE(testing::Message() << schedule << ", " << total << " steps, share " << share
                                          << ", probe_every " << every);
          ASSERT_FALSE(stages.empty());
          EXPECT_EQ(stages[0].first_step, 0);
          EXPECT_LT(stages.back().first_step, total);
          for (size_t i = 0; i < stages.size(); ++i) {
            EXPECT_EQ(stages[i].version, static_cast<int32_t>(i) + 1);
            // Only a probe before the first step begins a second stage where one begins already.
            if (i > 0 && !(i == 1 && stages[1].first_step == 0 && stages[1].probe)) {
              EXPECT_GT(stages[i].first_step, stages[i - 1].first_step);
            }
            EXPECT_GE(stages[i].target, 0);
            EXPECT_LE(stages[i].target, 0.8);
            EXPECT_FALSE(stages[i].probe && stages[i].target == 0);
          }
        }
      }
    }
  }
}

TEST(PlanStagesTest, ASingleStepHasTheFullTargetWhateverTheSchedule) {
  for (const char* schedule : {"constant", "ramp", "anneal"}) {
    EXPECT_EQ(PlanStages(UniformSpec(schedule), 1).back().target, 0.8) << schedule;
  }
}

// Sensitivities that grow with the unit.
std::vector<double> Rising(const LayerTable& table) {
  std::vector<double> sensitivities;
  for (size_t u = 0; u < table.units.size(); ++u)
    sensitivities.push_back(1.0 + static_cast<double>(u));
  return sensitivities;
}

TEST(MakeStagePlanTest, IsUniformBeforeTheFirstProbe) {
  const LayerTable table = TableOf(SmolLm2());
  for (const char* allocation : {"uniform", "quadratic", "linear", "neyman"}) {
    JobSpec spec = Spec();
    spec.dropbp.allocation = allocation;
    const DropPlan plan =
        MakeStagePlan(table, spec, {.version = 3, .first_step = 7, .target = 0.5}, {}).value();
    EXPECT_EQ(plan.version, 3);
    EXPECT_EQ(plan.first_step, 7);
    EXPECT_EQ(plan.target, 0.5);
    EXPECT_THAT(plan.keep_rates, Each(kKeepOne / 2)) << allocation;
  }
}

TEST(MakeStagePlanTest, FollowsTheAllocatorOnceSensitivitiesAreKnown) {
  const LayerTable table = TableOf(SmolLm2());
  const PlanStage stage{.version = 2, .first_step = 10, .target = 0.5, .probe = true};
  for (const Allocator allocator :
       {Allocator::kQuadratic, Allocator::kLinear, Allocator::kNeyman}) {
    JobSpec spec = Spec();
    spec.dropbp.allocation = allocator == Allocator::kQuadratic ? "quadratic"
                             : allocator == Allocator::kLinear  ? "linear"
                                                                : "neyman";
    const DropPlan plan = MakeStagePlan(table, spec, stage, Rising(table)).value();
    const auto rates = AllocateDropRates(allocator, UnitCosts(table), Rising(table), 0.5, 0.95);
    EXPECT_EQ(plan.keep_rates, MakeDropPlan(table, *rates, 0.5, 2, 10)->keep_rates);
    EXPECT_NEAR(plan.planned, 0.5, 0.01);
    EXPECT_GT(plan.DropRate(0), plan.DropRate(58)) << "the sensitive attention is dropped less";
    EXPECT_GT(plan.DropRate(1), plan.DropRate(59)) << "the sensitive MLP is dropped less";
  }
}

TEST(MakeStagePlanTest, AUniformAllocationStaysUniform) {
  const LayerTable table = TableOf(SmolLm2());
  const JobSpec spec = UniformSpec("constant");
  EXPECT_THAT(MakeStagePlan(table, spec, {.target = 0.5}, Rising(table))->keep_rates,
              Each(kKeepOne / 2));
}

TEST(MakeStagePlanTest, CapsRatesByTheTargetOfItsStageOrAsAsked) {
  const LayerTable table = TableOf(SmolLm2());
  JobSpec spec = Spec();
  spec.dropbp.allocation = "linear";
  const auto highest = [&](double target) {
    const DropPlan plan = MakeStagePlan(table, spec, {.target = target}, Rising(table)).value();
    double rate = 0;
    for (size_t u = 0; u < plan.keep_rates.size(); ++u) rate = std::max(rate, plan.DropRate(u));
    return rate;
  };
  // Rounding to whole units shifts rates a little.
  EXPECT_THAT(highest(0.5), DoubleNear(0.95, 0.05));
  EXPECT_GT(highest(0.98), 0.98);
  spec.dropbp.max_unit_rate = 0.8;
  EXPECT_THAT(highest(0.5), DoubleNear(0.8, 0.05));
}

TEST(MakeStagePlanTest, KeepsEverythingAtTargetZero) {
  const LayerTable table = TableOf(SmolLm2());
  for (const char* allocation : {"uniform", "quadratic", "linear", "neyman"}) {
    JobSpec spec = Spec();
    spec.dropbp.allocation = allocation;
    const DropPlan plan = MakeStagePlan(table, spec, {.target = 0}, Rising(table)).value();
    EXPECT_THAT(plan.keep_rates, Each(kKeepOne)) << allocation;
    EXPECT_EQ(plan.planned, 0);
  }
}

TEST(MakeStagePlanTest, RefusesAnAllocationItDoesNotKnow) {
  JobSpec spec = Spec();
  spec.dropbp.allocation = "greedy";
  EXPECT_THAT(std::string(MakeStagePlan(TableOf(SmolLm2()), spec, {}, {}).status().message()),
              HasSubstr("allocation: found \"greedy\""));
}

TEST(UnitCostsTest, AreTheBackwardFlopsOfTheUnits) {
  EXPECT_THAT(UnitCosts(TableWithCosts({3, 8, 3})), ElementsAre(3, 8, 3));
}

}  // namespace
}  // namespace dropbp
