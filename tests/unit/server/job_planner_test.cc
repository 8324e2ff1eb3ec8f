#include "server/plan/job_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/allocate.h"
#include "core/plan/mask_plan.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;

JobSpec Spec() {
  JobSpec spec;
  spec.model = "tiny";
  spec.training.steps = 3000;
  spec.training.global_batch_size = 8;
  spec.training.micro_batch_size = 2;
  spec.training.seed = 7;
  spec.dropbp.probe_at = 0.5;
  return spec;
}

JobPlanner Make(const JobSpec& spec) {
  v1::DatasetReport data;
  data.set_samples(100);
  data.set_tokens(1000);
  data.set_supervised_tokens(500);
  return JobPlanner::Make(spec, TestShape(), data).value();
}

// Norms with which later units are more sensitive.
v1::ProbeReport Probe(std::vector<int> units) {
  v1::ProbeReport report;
  report.add_base_norms(1);
  report.add_base_norms(2);
  for (int unit : units) {
    v1::UnitNorms* norms = report.add_units();
    norms->set_unit(unit);
    norms->add_norms(1 - 0.1 * (unit + 1));
    norms->add_norms(2);
  }
  return report;
}

TEST(JobPlannerTest, BeginsWithUniformRatesAtTheTarget) {
  const JobPlanner planner = Make(Spec());
  const v1::DropPlan plan = planner.Describe();
  EXPECT_EQ(planner.total_steps(), 3000);
  EXPECT_EQ(planner.probe_step(), 1500);
  EXPECT_EQ(plan.version(), 1);
  EXPECT_EQ(plan.allocation(), "uniform");
  EXPECT_EQ(plan.masks(), "balanced");
  EXPECT_EQ(plan.rows(), 4);
  EXPECT_NEAR(plan.planned_drop_rate(), 0.5, 1e-9);
  EXPECT_GT(plan.speed_limit(), 1);
  ASSERT_EQ(plan.units_size(), 4);
  EXPECT_FALSE(plan.units(0).has_sensitivity());
  EXPECT_EQ(plan.units(1).kind(), v1::UnitPlan::MLP);
}

TEST(JobPlannerTest, DropRateZeroKeepsEverythingAndNeedsNoProbe) {
  JobSpec spec = Spec();
  spec.dropbp.drop_rate = 0;
  const JobPlanner planner = Make(spec);
  EXPECT_EQ(planner.probe_step(), -1);
  EXPECT_EQ(planner.Describe().planned_drop_rate(), 0);
}

TEST(JobPlannerTest, MakesTheSecondPlanOnceAllUnitsAreProbed) {
  JobPlanner planner = Make(Spec());
  EXPECT_FALSE(planner.AddProbe(Probe({0, 2})).value());
  EXPECT_FALSE(planner.AddProbe(Probe({0, 2})).value());
  EXPECT_TRUE(planner.AddProbe(Probe({1, 3})).value());
  EXPECT_FALSE(planner.AddProbe(Probe({1, 3})).value());
  const v1::DropPlan plan = planner.Describe();
  EXPECT_EQ(plan.version(), 2);
  EXPECT_EQ(plan.first_step(), 1500);
  EXPECT_NEAR(plan.units(2).sensitivity(), 0.09, 1e-12);
  EXPECT_GE(plan.units(0).drop_rate(), plan.units(2).drop_rate());
}

TEST(JobPlannerTest, RefusesAProbeOfAUnitTheModelLacks) {
  JobPlanner planner = Make(Spec());
  EXPECT_FALSE(planner.AddProbe(Probe({4})).ok());
}

TEST(JobPlannerTest, AgreesWithARankThatUsesTheSameFunctions) {
  const JobSpec spec = Spec();
  const LayerTable table =
      BuildLayerTable(ModelShapeFromProto(TestShape()), spec, spec.dataset.max_length).value();
  const DropPlan theirs = MakeDropPlan(table, std::vector<double>(4, 0.5), 0.5, 1, 0).value();
  v1::PlanDigest digest;
  digest.set_plan_version(1);
  digest.mutable_keep_rates()->Add(theirs.keep_rates.begin(), theirs.keep_rates.end());
  digest.set_hash(PlanHash(theirs));
  JobPlanner planner = Make(spec);
  EXPECT_TRUE(planner.CheckDigest(0, digest).ok());
  v1::StepReport step;
  step.set_step(12);
  step.set_mask_hash(MaskHash(MaskPlan(theirs, 7, MaskRows(spec)).Draw(12)));
  EXPECT_TRUE(planner.CheckMasks(1, step).ok());
  step.set_step(13);
  const absl::Status status = planner.CheckMasks(1, step);
  EXPECT_EQ(ReasonOf(status), "PLAN_MISMATCH");
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 1"));
}

TEST(JobPlannerTest, ComparesAnEarlyDigestWhenThePlanIsMade) {
  JobPlanner planner = Make(Spec());
  v1::PlanDigest digest;
  digest.set_plan_version(2);
  digest.set_hash(0x1234);
  EXPECT_TRUE(planner.CheckDigest(1, digest).ok());
  const absl::Status status = planner.AddProbe(Probe({0, 1, 2, 3})).status();
  EXPECT_EQ(ReasonOf(status), "PLAN_MISMATCH");
  EXPECT_THAT(std::string(status.message()), HasSubstr("0000000000001234"));
}

TEST(JobPlannerTest, DrawsBlocksUpToBordersAndPlanEnds) {
  JobPlanner planner = Make(Spec());
  std::vector<int64_t> borders;
  for (int64_t step = 0; const auto block = planner.BlockAt(step);) {
    EXPECT_TRUE(VerifyMaskBlock(MaskBlockFromProto(*block)).ok());
    step = block->first_step() + block->steps();
    borders.push_back(step);
  }
  EXPECT_THAT(borders, ::testing::ElementsAre(1024, 1500));  // the second plan is not made yet
  EXPECT_EQ(planner.BlockAt(1030)->steps(), 470);
  ASSERT_TRUE(planner.AddProbe(Probe({0, 1, 2, 3})).value());
  EXPECT_EQ(planner.BlockAt(1500)->plan_version(), 2);
  EXPECT_EQ(planner.BlockAt(1500)->steps(), 1024);
  EXPECT_EQ(planner.BlockAt(2524)->steps(), 476);
  EXPECT_FALSE(planner.BlockAt(3000).has_value());
}

}  // namespace
}  // namespace dropbp::server
