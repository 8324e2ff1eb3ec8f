#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/plan_stages.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/trainer/train/sensitivity.h"

namespace dropbp::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

JobSpec QuadraticSpec() {
  JobSpec spec = TinySpec();
  spec.training.steps = 10;
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.probe_at = 0.2;
  return spec;
}

StepBatch ProbeBatch(const JobSpec& spec, const data::TokenizedDataset& dataset) {
  return BatchLoader(dataset, spec.training, 0, 1, at::kCPU).LoadProbe(2, 4);
}

class ProbeMeasureTest : public ::testing::TestWithParam<ProbeMeasure> {};

// Adapter dropout is on, so that a probe that drew from the generators would show.
TEST_P(ProbeMeasureTest, LeavesNoTrace) {
  JobSpec spec = TinySpec();
  spec.lora.dropout = 0.2;
  spec.dropbp.drop_rate = 0.5;
  const auto dataset = TinyDataset(spec);
  const auto plain = TrainTiny(spec, 1);
  const auto probed = TrainTiny(spec, 1, [&](TinyRank& rank, ProcessGroup*) {
    if (rank.trainer->next_step() != 3) return;
    const auto report =
        ProbeSensitivity(*rank.model, ProbeBatch(spec, dataset), 3, GetParam(), nullptr);
    ASSERT_TRUE(report.ok()) << report.status();
    for (const auto& parameter : rank.model->trainable())
      EXPECT_FALSE(parameter.value.grad().defined());
  });
  EXPECT_EQ(plain[0].weight_hashes, probed[0].weight_hashes);
}

TEST_P(ProbeMeasureTest, KeepsGradientsThatWereThereAndTheGenerator) {
  const JobSpec spec = TinySpec();
  const auto dataset = TinyDataset(spec);
  const auto model = TinyModel(spec);
  for (const auto& parameter : model->trainable()) {
    at::Tensor(parameter.value).mutable_grad() = at::ones(parameter.value.sizes());
  }
  at::manual_seed(5);
  const at::Tensor expected = at::rand({4});
  at::manual_seed(5);
  GetParam()(*model, ProbeBatch(spec, dataset), {0, 3});
  EXPECT_TRUE(at::equal(at::rand({4}), expected));
  for (const auto& parameter : model->trainable()) {
    EXPECT_TRUE(at::equal(parameter.value.grad(), at::ones(parameter.value.sizes())));
  }
}

INSTANTIATE_TEST_SUITE_P(Measures, ProbeMeasureTest,
                         ::testing::Values(&MeasureByDefinition, &MeasureBySuffixes),
                         [](const auto& info) {
                           return info.param == &MeasureByDefinition ? "ByDefinition"
                                                                     : "BySuffixes";
                         });

// Two micro-batches, so that gradients are summed; full fine-tuning has tensors below, above and
// beside the units, one of them (the tied head) in two places.
void ExpectSuffixesToEqualTheDefinition(const hf::ModelConfig& config, bool packing = false) {
  at::set_num_threads(1);
  for (const char* method : {"lora", "qlora", "ia3", "prompt_tuning", "full"}) {
    for (const char* dtype : {"fp32", "bf16"}) {
      JobSpec spec = TinySpec();
      spec.method = method;
      spec.dataset.packing = packing;
      if (packing && spec.method == "prompt_tuning") continue;
      spec.dtype = dtype;
      spec.lora.use_dora = spec.method == "qlora";
      spec.prompt_tuning.num_virtual_tokens = 3;
      const auto dataset = TinyDataset(spec);
      const auto model = TinyModel(spec, config);
      const StepBatch batch = ProbeBatch(spec, dataset);
      ASSERT_THAT(batch.micro_batches, SizeIs(2));
      const std::vector<int> units = {0, 1, 2, 3, 4, 5};
      const ProbeNorms expected = MeasureByDefinition(*model, batch, units);
      const ProbeNorms fast = MeasureBySuffixes(*model, batch, units);
      EXPECT_EQ(fast.base, expected.base) << method << " " << dtype;
      EXPECT_EQ(fast.dropped, expected.dropped) << method << " " << dtype;
      spec.training.activation_checkpointing = true;
      const auto checkpointing = TinyModel(spec, config);
      EXPECT_EQ(MeasureBySuffixes(*checkpointing, batch, units).dropped, expected.dropped);
      EXPECT_EQ(expected.unit_forwards, 2 * (kTinyUnits + 1) * kTinyUnits);
      EXPECT_EQ(expected.unit_backwards, 2 * kTinyUnits * kTinyUnits);
      EXPECT_EQ(fast.unit_forwards, 2 * kTinyUnits);
      EXPECT_EQ(fast.unit_backwards, 2 * kTinyUnits * (kTinyUnits + 1) / 2);
    }
  }
}

TEST(ProbeTest, SuffixesEqualTheDefinitionBitForBitWithAFractionOfTheWork) {
  ExpectSuffixesToEqualTheDefinition(TinyConfig());
}

TEST(ProbeTest, TheyDoSoForGemmaToo) { ExpectSuffixesToEqualTheDefinition(TinyGemmaConfig()); }

TEST(ProbeTest, TheyDoSoOnPackedRows) {
  ExpectSuffixesToEqualTheDefinition(TinyConfig(), /*packing=*/true);
  ExpectSuffixesToEqualTheDefinition(TinyGemmaConfig(), /*packing=*/true);
}

TEST(ProbeTest, DroppingAUnitLeavesGradientsAboveItAndEndsItsOwn) {
  const JobSpec spec = TinySpec();
  const auto dataset = TinyDataset(spec);
  const auto model = TinyModel(spec);
  const ProbeNorms norms = MeasureByDefinition(*model, ProbeBatch(spec, dataset), {2});
  for (size_t i = 0; i < norms.base.size(); ++i) {
    const int unit = model->trainable()[i].unit;
    EXPECT_GT(norms.base[i], 0);
    if (unit > 2) {
      EXPECT_EQ(norms.dropped[0][i], norms.base[i]);
    }
    if (unit == 2) {
      EXPECT_EQ(norms.dropped[0][i], 0);
    }
    if (unit < 2) {
      EXPECT_NE(norms.dropped[0][i], norms.base[i]);
    }
  }
}

TEST(ProbeTest, RanksShareTheWorkAndComeToTheSamePlanAsTheCoordinator) {
  const auto one = TrainTiny(QuadraticSpec(), 1);
  const auto two = TrainTiny(QuadraticSpec(), 2);
  ASSERT_THAT(two[0].link->probes, SizeIs(1));
  EXPECT_THAT(two[1].link->probes, SizeIs(0));
  const ProbeReport& report = two[0].link->probes[0];
  EXPECT_EQ(report.step, 2);
  ASSERT_THAT(report.units, SizeIs(kTinyUnits));

  JobSpec spec = QuadraticSpec();
  spec.resources.ranks = 2;
  const LayerTable table = *BuildLayerTable(TinyConfig().shape, spec, spec.dataset.max_length);
  const std::vector<PlanStage> stages = PlanStages(spec, spec.training.steps);
  const DropPlan plan = *MakeStagePlan(table, spec, stages.back(), *SensitivitiesOf(report));
  for (const TinyRank& rank : two) {
    ASSERT_THAT(rank.link->plans, SizeIs(2));
    EXPECT_EQ(PlanHash(rank.link->plans[1]), PlanHash(plan));
    EXPECT_EQ(rank.link->steps[1].plan_version, 1);
    EXPECT_EQ(rank.link->steps[2].plan_version, 2);
  }
  EXPECT_NE(plan.keep_rates, two[0].link->plans[0].keep_rates);
  EXPECT_EQ(two[0].weight_hashes, two[1].weight_hashes);

  // One rank probes the same batch with weights that differ by rounding only.
  ASSERT_THAT(one[0].link->probes, SizeIs(1));
  for (size_t i = 0; i < report.base_norms.size(); ++i) {
    EXPECT_NEAR(one[0].link->probes[0].base_norms[i], report.base_norms[i],
                1e-4 * report.base_norms[i]);
  }
}

TEST(ProbeTest, RunsAgainEveryGivenNumberOfSteps) {
  JobSpec spec = QuadraticSpec();
  spec.dropbp.probe_every = 3;
  const auto ranks = TrainTiny(spec, 2);
  std::vector<int64_t> steps;
  for (const ProbeReport& report : ranks[0].link->probes) steps.push_back(report.step);
  EXPECT_THAT(steps, ElementsAre(2, 5, 8));
  EXPECT_EQ(ranks[0].link->steps.back().plan_version, 4);
  EXPECT_EQ(ranks[0].weight_hashes, ranks[1].weight_hashes);
}

TEST(ProbeTest, EveryStepCostsThePlannedFlopsAfterTheProbeToo) {
  const auto ranks = TrainTiny(QuadraticSpec(), 2);
  for (const StepReport& report : ranks[1].link->steps) {
    const DropPlan& plan = ranks[1].link->plans[report.plan_version - 1];
    EXPECT_NEAR(
        report.backward_flops_saved / (report.backward_flops_done + report.backward_flops_saved),
        plan.planned, 1e-12);
  }
}

}  // namespace
}  // namespace dropbp::trainer
