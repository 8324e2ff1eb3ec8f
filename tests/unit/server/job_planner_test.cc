#include "server/plan/job_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/mask_plan.h"
#include "core/plan/plan_stages.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

JobSpec Spec() {
  JobSpec spec;
  spec.dropbp.allocation = "quadratic";
  spec.model = "tiny";
  spec.training.steps = 3000;
  spec.training.global_batch_size = 8;
  spec.training.micro_batch_size = 2;
  spec.training.seed = 7;
  spec.dropbp.probe_at = 0.5;
  return spec;
}

JobPlanner Make(const JobSpec& spec, int64_t block_steps = kDefaultBlockSteps) {
  v1::DatasetReport data;
  data.set_samples(100);
  data.set_tokens(1000);
  data.set_supervised_tokens(500);
  return JobPlanner::Make(spec, TestShape(), data, block_steps).value();
}

TEST(JobPlannerTest, StepsOfPackedSamplesFollowFromTheirRows) {
  JobSpec spec = Spec();
  spec.training.steps = 0;
  spec.dataset.packing = true;
  v1::DatasetReport data;
  data.set_samples(100);
  data.set_rows(41);
  EXPECT_EQ(JobPlanner::Make(spec, TestShape(), data)->total_steps(), 6) << "41 rows, 8 a step";
}

// Norms with which later units are more sensitive: S_u = (0.1 (u + 1))^2, times `scale`^2.
v1::ProbeReport Probe(int64_t step, std::vector<int> units = {0, 1, 2, 3}, double scale = 1) {
  v1::ProbeReport report;
  report.set_step(step);
  report.set_seconds(2.5);
  report.add_base_norms(1);
  report.add_base_norms(2);
  for (int unit : units) {
    v1::UnitNorms* norms = report.add_units();
    norms->set_unit(unit);
    norms->add_norms(1 - 0.1 * scale * (unit + 1));
    norms->add_norms(2);
  }
  return report;
}

// A ramp of 8 stages of 60 steps, the probe in the third, then every 1000 steps.
JobSpec ManyStages() {
  JobSpec spec = Spec();
  spec.dropbp.schedule = "ramp";
  spec.dropbp.schedule_share = 0.16;
  spec.dropbp.probe_at = 0.05;
  spec.dropbp.probe_every = 1000;
  return spec;
}

v1::PlanDigest DigestOf(const DropPlan& plan) {
  v1::PlanDigest digest;
  digest.set_plan_version(plan.version);
  digest.set_first_step(plan.first_step);
  digest.mutable_keep_rates()->Add(plan.keep_rates.begin(), plan.keep_rates.end());
  digest.set_hash(PlanHash(plan));
  return digest;
}

// The plan of one stage as a rank makes it.
DropPlan RanksPlan(const JobSpec& spec, size_t stage, const std::vector<double>& sensitivities) {
  const LayerTable table =
      BuildLayerTable(ModelShapeFromProto(TestShape()), spec, spec.dataset.max_length).value();
  return MakeStagePlan(table, spec, PlanStages(spec, 3000)[stage], sensitivities).value();
}

std::vector<double> SensitivitiesOf(const JobPlanner& planner) {
  std::vector<double> values;
  const v1::DropPlan plan = planner.Describe();
  for (const v1::UnitPlan& unit : plan.units()) values.push_back(unit.sensitivity());
  return values;
}

TEST(JobPlannerTest, BeginsWithUniformRatesAtTheTarget) {
  const JobPlanner planner = Make(Spec());
  const v1::DropPlan plan = planner.Describe();
  EXPECT_EQ(planner.total_steps(), 3000);
  EXPECT_TRUE(planner.ProbesBefore(1500));
  EXPECT_FALSE(planner.ProbesBefore(0));
  EXPECT_EQ(plan.version(), 1);
  EXPECT_EQ(plan.allocation(), "uniform");
  EXPECT_EQ(plan.masks(), "balanced");
  EXPECT_EQ(plan.rows(), 8);
  EXPECT_EQ(plan.mask_groups(), 2);
  EXPECT_NE(plan.masks_reason(), "");
  EXPECT_EQ(plan.estimator(), "paper");
  EXPECT_EQ(plan.dropped_update(), "skip");
  EXPECT_EQ(plan.schedule(), "constant");
  EXPECT_FALSE(plan.has_probe_step());
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
  EXPECT_EQ(planner.Describe().stage_count(), 1);
  EXPECT_EQ(planner.Describe().planned_drop_rate(), 0);
}

TEST(JobPlannerTest, MakesTheSecondPlanFromTheProbe) {
  JobPlanner planner = Make(Spec());
  const auto found = planner.AddProbe(Probe(1500)).value();
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->step(), 1500);
  EXPECT_NEAR(found->values(2), 0.09, 1e-12);
  const v1::DropPlan plan = planner.Describe();
  EXPECT_EQ(plan.version(), 2);
  EXPECT_EQ(plan.first_step(), 1500);
  EXPECT_EQ(plan.allocation(), "quadratic");
  EXPECT_EQ(plan.probe_step(), 1500);
  EXPECT_EQ(plan.probe_seconds(), 2.5);
  EXPECT_NEAR(plan.units(2).sensitivity(), 0.09, 1e-12);
  EXPECT_GE(plan.units(0).drop_rate(), plan.units(2).drop_rate());
}

TEST(JobPlannerTest, ARepeatedOrOlderProbeChangesNothing) {
  JobPlanner planner = Make(ManyStages());
  ASSERT_TRUE(planner.AddProbe(Probe(150))->has_value());
  const std::string first = planner.Describe().SerializeAsString();
  EXPECT_FALSE(planner.AddProbe(Probe(150, {0, 1, 2, 3}, 0.5))->has_value());
  EXPECT_EQ(planner.Describe().SerializeAsString(), first);
  ASSERT_TRUE(planner.AddProbe(Probe(1150))->has_value());
  const std::string second = planner.Describe().SerializeAsString();
  EXPECT_FALSE(planner.AddProbe(Probe(150, {0, 1, 2, 3}, 0.5))->has_value());
  EXPECT_EQ(planner.Describe().SerializeAsString(), second);
}

TEST(JobPlannerTest, RefusesAProbeThatDoesNotFitTheJob) {
  const auto error = [](const v1::ProbeReport& report) {
    return std::string(Make(ManyStages()).AddProbe(report).status().message());
  };
  EXPECT_THAT(error(Probe(150, {0, 1, 2, 4})),
              HasSubstr("probe of unit 4, the model has units 0 to 3"));
  EXPECT_THAT(error(Probe(150, {0, 2})), HasSubstr("found 2 units, legal is all 4"));
  EXPECT_THAT(error(Probe(151)), HasSubstr("probe before step 151: no plan of this job begins"));
  EXPECT_THAT(error(Probe(1150)), HasSubstr("the probe before step 150 is missing"));
}

TEST(JobPlannerTest, ThePlanInForceFollowsTheStagesOfTheSchedule) {
  JobPlanner planner = Make(ManyStages());
  EXPECT_EQ(planner.version(), 1);
  EXPECT_EQ(planner.Describe().target_drop_rate(), 0);
  planner.Advance(60);
  EXPECT_EQ(planner.version(), 2);
  EXPECT_DOUBLE_EQ(planner.Describe().target_drop_rate(), 0.0625);
  EXPECT_EQ(planner.Describe().allocation(), "uniform");
  planner.Advance(59);  // a late report
  EXPECT_EQ(planner.version(), 2);
  planner.Advance(150);  // the probe of this stage is awaited
  EXPECT_EQ(planner.version(), 3);
  ASSERT_TRUE(planner.AddProbe(Probe(150))->has_value());
  EXPECT_EQ(planner.version(), 4);
  EXPECT_EQ(planner.Describe().allocation(), "quadratic");
  planner.Advance(180);
  EXPECT_EQ(planner.version(), 5);
}

TEST(JobPlannerTest, ListsTheStagesWithWhatIsKnownOfThem) {
  JobPlanner planner = Make(ManyStages());
  const v1::DropPlan plan = planner.Describe();
  // Nine of the ramp, one more where the probe divides a stage, and the probes at 1150 and 2150.
  ASSERT_EQ(plan.stages_size(), 12);
  EXPECT_EQ(plan.stage_count(), 12);
  EXPECT_EQ(plan.stages(3).version(), 4);
  EXPECT_EQ(plan.stages(3).first_step(), 150);
  EXPECT_TRUE(plan.stages(3).probe());
  EXPECT_FALSE(plan.stages(3).has_planned_drop_rate());
  EXPECT_TRUE(plan.stages(2).has_planned_drop_rate());
  EXPECT_DOUBLE_EQ(plan.stages(11).target_drop_rate(), 0.5);
}

TEST(JobPlannerTest, ListsAtMostSixtyFourStages) {
  JobSpec spec = Spec();
  spec.dropbp.probe_at = 0;
  spec.dropbp.probe_every = 10;
  JobPlanner planner = Make(spec);
  ASSERT_TRUE(planner.AddProbe(Probe(0))->has_value());
  ASSERT_TRUE(planner.AddProbe(Probe(10))->has_value());
  const v1::DropPlan plan = planner.Describe();
  EXPECT_EQ(plan.stage_count(), 301);
  ASSERT_EQ(plan.stages_size(), 64);
  EXPECT_EQ(plan.stages(0).version(), plan.version());
}

TEST(JobPlannerTest, IsAsBeforeOnceItIsGivenWhatProbesFound) {
  JobPlanner planner = Make(ManyStages());
  const auto first = planner.AddProbe(Probe(150)).value();
  const auto second = planner.AddProbe(Probe(1150, {0, 1, 2, 3}, 0.5)).value();
  planner.Advance(1200);
  JobPlanner restarted = Make(ManyStages());
  EXPECT_TRUE(restarted.AddSensitivities(*first).value());
  EXPECT_TRUE(restarted.AddSensitivities(*second).value());
  EXPECT_FALSE(restarted.AddSensitivities(*second).value());
  restarted.Advance(1200);
  EXPECT_EQ(restarted.Describe().SerializeAsString(), planner.Describe().SerializeAsString());
  for (const int64_t step : {0, 149, 150, 1149, 1150, 2149})
    EXPECT_EQ(restarted.BlockAt(step)->SerializeAsString(),
              planner.BlockAt(step)->SerializeAsString())
        << step;
}

TEST(JobPlannerTest, AgreesWithARankThatUsesTheSameFunctions) {
  const JobSpec spec = Spec();
  const DropPlan theirs = RanksPlan(spec, 0, {});
  JobPlanner planner = Make(spec);
  EXPECT_TRUE(planner.CheckDigest(0, DigestOf(theirs)).ok());
  v1::StepReport step;
  step.set_step(12);
  step.set_mask_hash(MaskHash(MaskPlan(theirs, 7, MaskRows(spec)).Draw(12)));
  EXPECT_TRUE(planner.CheckMasks(1, step).ok());
  step.set_step(13);
  const absl::Status status = planner.CheckMasks(1, step);
  EXPECT_EQ(ReasonOf(status), "PLAN_MISMATCH");
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 1"));
}

TEST(JobPlannerTest, ComparesMasksThatCameBeforeTheirPlanWasMade) {
  const JobSpec spec = ManyStages();
  for (const bool same : {true, false}) {
    JobPlanner planner = Make(spec);
    JobPlanner reference = Make(spec);
    ASSERT_TRUE(reference.AddProbe(Probe(150, {0, 1, 2, 3}, 1)).ok());
    v1::StepReport step;
    step.set_step(160);
    const auto block = reference.BlockAt(160);
    ASSERT_TRUE(block.has_value());
    const std::vector<MaskRow> rows = UnpackStep(MaskBlockFromProto(*block), 160);
    step.set_mask_hash(MaskHash(rows) + (same ? 0 : 1));
    EXPECT_TRUE(planner.CheckMasks(1, step).ok()) << "nothing to compare with yet";
    EXPECT_EQ(planner.AddProbe(Probe(150, {0, 1, 2, 3}, 1)).ok(), same);
  }
}

TEST(JobPlannerTest, RefusesMoreProbesThanAJobMayHave) {
  JobSpec spec = ManyStages();
  spec.training.steps = 0;  // known from the data only
  spec.training.epochs = 1000;
  spec.dropbp.probe_every = 1;
  v1::DatasetReport data;
  data.set_samples(1'000'000);
  const auto planner = JobPlanner::Make(spec, TestShape(), data, 1024);
  EXPECT_THAT(std::string(planner.status().message()), HasSubstr("dropbp.probe_every: found 1"));
}

TEST(JobPlannerTest, AgreesWithARankInEveryStage) {
  const JobSpec spec = ManyStages();
  JobPlanner planner = Make(spec);
  std::vector<double> sensitivities;
  const std::vector<PlanStage> stages = PlanStages(spec, 3000);
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].probe) {
      ASSERT_TRUE(planner.AddProbe(Probe(stages[i].first_step))->has_value());
      sensitivities = SensitivitiesOf(planner);
    }
    EXPECT_TRUE(planner.CheckDigest(1, DigestOf(RanksPlan(spec, i, sensitivities))).ok()) << i;
  }
}

TEST(JobPlannerTest, ComparesAnEarlyDigestWhenThePlanIsMade) {
  for (const int early : {1, 4, 5}) {  // the second rank's, of a plan that was made or not
    JobPlanner planner = Make(ManyStages());
    v1::PlanDigest digest;
    digest.set_plan_version(early);
    digest.set_hash(0x1234);
    absl::Status status = planner.CheckDigest(1, digest);
    if (early > 3) {
      EXPECT_TRUE(status.ok()) << early;
      status = planner.AddProbe(Probe(150)).status();
    }
    EXPECT_EQ(ReasonOf(status), "PLAN_MISMATCH") << early;
    EXPECT_THAT(std::string(status.message()), HasSubstr("0000000000001234"));
  }
}

TEST(JobPlannerTest, KeepsEarlyDigestsOfSeveralVersionsOfOneRank) {
  JobPlanner planner = Make(ManyStages());
  JobPlanner other = Make(ManyStages());
  ASSERT_TRUE(other.AddProbe(Probe(150))->has_value());
  v1::PlanDigest wrong;
  wrong.set_plan_version(4);
  wrong.set_hash(0x1234);
  EXPECT_TRUE(planner.CheckDigest(1, wrong).ok());
  EXPECT_TRUE(
      planner.CheckDigest(1, DigestOf(RanksPlan(ManyStages(), 4, SensitivitiesOf(other)))).ok());
  EXPECT_EQ(ReasonOf(planner.AddProbe(Probe(150)).status()), "PLAN_MISMATCH");
}

// Ends of the blocks from `step` on, one after the other.
std::vector<int64_t> Borders(JobPlanner& planner, int64_t step) {
  std::vector<int64_t> borders;
  while (const auto block = planner.BlockAt(step)) {
    EXPECT_TRUE(VerifyMaskBlock(MaskBlockFromProto(*block)).ok());
    step = block->first_step() + block->steps();
    borders.push_back(step);
  }
  return borders;
}

TEST(JobPlannerTest, DrawsBlocksUpToBordersAndPlanEnds) {
  JobPlanner planner = Make(Spec());
  EXPECT_THAT(Borders(planner, 0), ElementsAre(1024, 1500));  // the second plan is not made yet
  EXPECT_EQ(planner.BlockAt(1030)->steps(), 470);
  ASSERT_TRUE(planner.AddProbe(Probe(1500))->has_value());
  EXPECT_EQ(planner.BlockAt(1500)->plan_version(), 2);
  EXPECT_THAT(Borders(planner, 1500), ElementsAre(2524, 3000));
  EXPECT_FALSE(planner.BlockAt(3000).has_value());
}

TEST(JobPlannerTest, BlocksEndWhereStagesDoAndAreAsShortAsAsked) {
  JobPlanner planner = Make(ManyStages(), 50);
  EXPECT_THAT(Borders(planner, 0), ElementsAre(50, 60, 110, 120, 150));
  ASSERT_TRUE(planner.AddProbe(Probe(150))->has_value());
  EXPECT_EQ(planner.BlockAt(150)->plan_version(), 4);
  EXPECT_EQ(planner.BlockAt(150)->steps(), 30);
}

TEST(JobPlannerTest, AProbeBeforeTheFirstStepHasMasksOnceItIsMade) {
  JobSpec spec = Spec();
  spec.dropbp.probe_at = 0;
  JobPlanner planner = Make(spec);
  EXPECT_EQ(planner.version(), 1);
  EXPECT_FALSE(planner.BlockAt(0).has_value());
  ASSERT_TRUE(planner.AddProbe(Probe(0))->has_value());
  EXPECT_EQ(planner.version(), 2);
  EXPECT_EQ(planner.BlockAt(0)->plan_version(), 2);
}

}  // namespace
}  // namespace dropbp::server
