#include "core/plan/memory_estimate.h"

#include <gtest/gtest.h>

#include "core/plan/nested_masks.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

// Two blocks of widths that are easy to add up.
ModelShape SmallShape() {
  return {.model_type = "llama",
          .layers = 2,
          .hidden_size = 8,
          .intermediate_size = 20,
          .attention_heads = 4,
          .key_value_heads = 2,
          .head_dim = 2,
          .vocab_size = 100,
          .tied_embeddings = true};
}

JobSpec SmallJob() {
  JobSpec spec;
  spec.dropbp.allocation = "quadratic";
  spec.dataset.max_length = 10;
  spec.training.global_batch_size = 3;
  spec.training.micro_batch_size = 3;
  spec.lora.rank = 5;
  return spec;
}

MemoryEstimate Estimate(const ModelShape& shape, const JobSpec& spec, double rate,
                        int64_t dtype_bytes) {
  const LayerTable table = BuildLayerTable(shape, spec, spec.dataset.max_length).value();
  const DropPlan plan =
      MakeDropPlan(table, std::vector<double>(table.units.size(), rate), rate, 1, 0).value();
  return EstimateMemory(shape, spec, table, plan, {.dtype_bytes = dtype_bytes});
}

TEST(ParameterCountTest, IsThatOfKnownModels) {
  EXPECT_EQ(ParameterCount(SmolLm2()), 134'515'008);
  EXPECT_EQ(ParameterCount(Llama2With7B()), 6'738'415'616);
  const ModelShape qwen2_05b{.layers = 24,
                             .hidden_size = 896,
                             .intermediate_size = 4864,
                             .attention_heads = 14,
                             .key_value_heads = 2,
                             .head_dim = 64,
                             .vocab_size = 151936,
                             .tied_embeddings = true,
                             .qkv_bias = true};
  EXPECT_EQ(ParameterCount(qwen2_05b), 494'032'768);
  const ModelShape gemma3_1b{.layers = 26,
                             .hidden_size = 1152,
                             .intermediate_size = 6912,
                             .attention_heads = 4,
                             .key_value_heads = 1,
                             .head_dim = 256,
                             .vocab_size = 262144,
                             .tied_embeddings = true,
                             .query_key_norms = true,
                             .post_norms = true};
  EXPECT_EQ(ParameterCount(gemma3_1b), 999'885'952);
  const ModelShape phi3_mini{.layers = 32,
                             .hidden_size = 3072,
                             .intermediate_size = 8192,
                             .attention_heads = 32,
                             .key_value_heads = 32,
                             .head_dim = 96,
                             .vocab_size = 32064,
                             .fused_projections = true};
  EXPECT_EQ(ParameterCount(phi3_mini), 3'821'079'552);
}

TEST(MemoryEstimateTest, AddsUpWhatKeptUnitsKeep) {
  // By token: attention x 8, qkv 8 + 2 * 4, out 8, adapters 4 * 5, so 52 elements, and 1 + 4 fp32;
  // MLP x 8, gate and up 40, adapters 3 * 5, so 63 elements, and 1 fp32.
  const MemoryEstimate bf16 = Estimate(SmallShape(), SmallJob(), 0, 2);
  EXPECT_EQ(bf16.activations, 30 * 2 * ((52 * 2 + 5 * 4) + (63 * 2 + 4)));
  const MemoryEstimate fp32 = Estimate(SmallShape(), SmallJob(), 0, 4);
  EXPECT_EQ(fp32.activations, 30 * 2 * ((52 * 4 + 5 * 4) + (63 * 4 + 4)));
}

TEST(MemoryEstimateTest, NormsOfHeadsAndAtTheEndOfBranchesKeepMore) {
  ModelShape shape = SmallShape();
  const int64_t plain = Estimate(shape, SmallJob(), 0, 2).activations;
  shape.post_norms = true;  // by unit x 8 again, and its inverse rms
  EXPECT_EQ(Estimate(shape, SmallJob(), 0, 2).activations, plain + 30 * 4 * (8 * 2 + 4));
  shape.query_key_norms = true;  // an inverse rms of each of 4 + 2 heads
  EXPECT_EQ(Estimate(shape, SmallJob(), 0, 2).activations,
            plain + 30 * 4 * (8 * 2 + 4) + 30 * 2 * 6 * 4);
}

TEST(MemoryEstimateTest, KeepsActivationsInProportionToWhatIsNotDropped) {
  const int64_t all = Estimate(SmolLm2(), JobSpec(), 0, 2).activations;
  EXPECT_EQ(Estimate(SmolLm2(), JobSpec(), 0.5, 2).activations, all / 2);
  // 30 blocks keep 8 attentions and 7 MLPs, or the like: within one unit of a quarter.
  EXPECT_NEAR(static_cast<double>(Estimate(SmolLm2(), JobSpec(), 0.75, 2).activations),
              static_cast<double>(all) / 4, static_cast<double>(all) / 60);
}

TEST(MemoryEstimateTest, CountsOnlyWhatAnAdaptedModuleNeeds) {
  JobSpec spec = SmallJob();
  const int64_t all = Estimate(SmallShape(), spec, 0, 2).activations;
  spec.lora.target_modules = {"q_proj"};
  // Six modules of rank 5 less in each of two blocks.
  EXPECT_EQ(Estimate(SmallShape(), spec, 0, 2).activations, all - 30 * 2 * 6 * 5 * 2);
  spec.lora.dropout = 0.1;
  EXPECT_EQ(Estimate(SmallShape(), spec, 0, 2).activations,
            all - 30 * 2 * 6 * 5 * 2 + 30 * 2 * 8 * 2);
}

TEST(MemoryEstimateTest, CheckpointedUnitsKeepTheirInputsAndOneOfThemItsTape) {
  JobSpec spec = SmallJob();
  spec.training.activation_checkpointing = true;
  // By token: x 8 of four units; of an MLP, which has the larger tape, 55 elements and 1 fp32 more.
  const MemoryEstimate plain = Estimate(SmallShape(), spec, 0, 2);
  EXPECT_EQ(plain.activations, 30 * (4 * 8 * 2 + (55 * 2 + 4)));
  // With half of the units dropped by one group, half of the inputs.
  spec.dropbp.mask_groups = 1;
  EXPECT_EQ(Estimate(SmallShape(), spec, 0.5, 2).activations, 30 * (2 * 8 * 2 + (55 * 2 + 4)));
  // Dropped by three groups each unit is kept by some, at most two if not all.
  spec.dropbp.mask_groups = 3;
  EXPECT_EQ(Estimate(SmallShape(), spec, 0.5, 2).activations,
            30 * (4 * 8 * 2 + (55 * 2 + 4)) + 20 * (63 * 2 + 4));
  EXPECT_EQ(Estimate(SmallShape(), spec, 0.5, 2).weights, plain.weights);
}

TEST(MemoryEstimateTest, CheckpointingLeavesAFifthOfALargerModelsActivations) {
  JobSpec spec;
  const int64_t kept = Estimate(SmolLm2(), spec, 0, 2).activations;
  spec.training.activation_checkpointing = true;
  // 60 inputs of 576 elements and one tape, against 60 tapes of 2,950 in the mean.
  EXPECT_LT(Estimate(SmolLm2(), spec, 0, 2).activations, kept / 4);
  EXPECT_GT(Estimate(SmolLm2(), spec, 0, 2).activations, kept / 5);
}

TEST(MemoryEstimateTest, HoldsFrozenWeightsOnceAndAdaptersInFp32) {
  const MemoryEstimate lora = Estimate(SmallShape(), SmallJob(), 0.5, 2);
  const LayerTable table = BuildLayerTable(SmallShape(), SmallJob(), 10).value();
  EXPECT_EQ(lora.weights, 2 * ParameterCount(SmallShape()));
  EXPECT_EQ(lora.trainable, 4 * table.TrainableElements());
  EXPECT_EQ(lora.optimizer, 8 * table.TrainableElements());
}

TEST(MemoryEstimateTest, FullTuningHoldsFp32MastersMomentsAndGradientsOfWhatLives) {
  JobSpec spec = SmallJob();
  spec.method = "full";
  const int64_t parameters = ParameterCount(SmallShape());
  const MemoryEstimate kept = Estimate(SmallShape(), spec, 0, 2);
  EXPECT_EQ(kept.trainable, 4 * parameters);
  EXPECT_EQ(kept.optimizer, 8 * parameters);
  EXPECT_EQ(kept.gradients, 4 * parameters);
  // Norms and the embedding have no lasting copy in the compute dtype.
  EXPECT_EQ(kept.weights, 2 * (parameters - 100 * 8 - 8 - 2 * 2 * 8));
  const MemoryEstimate dropped = Estimate(SmallShape(), spec, 0.5, 2);
  EXPECT_LT(dropped.gradients, kept.gradients);
  EXPECT_EQ(dropped.optimizer, kept.optimizer);
}

TEST(MemoryEstimateTest, AMicroBatchWithOneNestedRowMayKeepAllLayers) {
  JobSpec spec = SmallJob();
  spec.dropbp.allocation = "depth";
  const LayerTable table = BuildLayerTable(SmallShape(), spec, 10).value();
  const auto activations = [&](int groups) {
    const DropPlan plan = MakeNestedPlan(table, 2 * groups, groups, 0.5, 1, 0).value();
    return EstimateMemory(SmallShape(), spec, table, plan, {.dtype_bytes = 4}).activations;
  };
  EXPECT_EQ(activations(1), Estimate(SmallShape(), spec, 0, 4).activations);
  EXPECT_NEAR(static_cast<double>(activations(2)), static_cast<double>(activations(1)) / 2, 2);
}

TEST(MemoryEstimateTest, ThePeakHasGradientsBesideActivationsOnlyWithSeveralMicroSteps) {
  JobSpec spec = SmallJob();
  spec.method = "full";
  spec.dropbp.drop_rate = 0;  // no probe
  const MemoryEstimate one = Estimate(SmallShape(), spec, 0, 4);
  const int64_t base = one.weights + one.trainable + one.optimizer + one.head;
  EXPECT_EQ(one.peak, base + std::max(one.activations, one.gradients));
  spec.training.global_batch_size = 6;
  const MemoryEstimate two = Estimate(SmallShape(), spec, 0, 4);
  EXPECT_EQ(two.peak, base + two.activations + two.gradients);
}

TEST(MemoryEstimateTest, AProbeKeepsItsSequencesAtRateZeroAndCotangentsOfTheRanksUnits) {
  JobSpec spec = SmallJob();
  spec.dropbp.probe_samples = 2;
  spec.resources.ranks = 3;
  const LayerTable table = BuildLayerTable(SmallShape(), spec, 10).value();
  const int64_t by_token = 2 * ((52 * 4 + 5 * 4) + (63 * 4 + 4)) + 2 * 8 * 4;
  EXPECT_EQ(Estimate(SmallShape(), spec, 0.5, 4).probe,
            2 * 10 * by_token + 2 * 4 * table.TrainableElements());
  spec.training.micro_batch_size = 1;  // of two sequences one is walked through at a time
  spec.training.activation_checkpointing = true;
  EXPECT_EQ(
      Estimate(SmallShape(), spec, 0.5, 4).probe,
      2 * 10 * (4 * 8 * 4 + 2 * 8 * 4) + 10 * (55 * 4 + 4) + 2 * 4 * table.TrainableElements());
  spec.dropbp.allocation = "uniform";
  EXPECT_EQ(Estimate(SmallShape(), spec, 0.5, 4).probe, 0);
}

TEST(MemoryEstimateTest, ThePeakIsThatOfTheProbeWhereAProbeKeepsMoreThanAStep) {
  JobSpec spec = SmallJob();
  spec.training.micro_batch_size = 1;
  spec.training.global_batch_size = 3;
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.probe_samples = 3;
  const MemoryEstimate probed = Estimate(SmallShape(), spec, 0.5, 4);
  const int64_t base = probed.weights + probed.trainable + probed.optimizer + probed.head;
  ASSERT_GT(probed.probe, probed.activations + probed.gradients);
  EXPECT_EQ(probed.peak, base + probed.probe);
}

TEST(MemoryEstimateTest, ATrainedHeadCountsItsGradientTwice) {
  JobSpec spec = SmallJob();
  const int64_t frozen = Estimate(SmallShape(), spec, 0, 4).head;
  spec.method = "full";
  EXPECT_EQ(Estimate(SmallShape(), spec, 0, 4).head, frozen + 2 * 4 * 100 * 8);
}

TEST(MemoryEstimateTest, AnEvaluationCountsWhereItTakesMoreThanAStep) {
  JobSpec spec = SmallJob();
  const MemoryEstimate without = Estimate(SmallShape(), spec, 0, 4);
  EXPECT_EQ(without.evaluation, 0);
  spec.dataset.validation_share = 0.1;
  const MemoryEstimate with = Estimate(SmallShape(), spec, 0, 4);
  EXPECT_GT(with.evaluation, 0);
  EXPECT_LT(with.evaluation, with.activations);
  EXPECT_EQ(with.peak, without.peak) << "a step takes more";
  spec.evaluation.prompts = {"Hello"};
  spec.evaluation.max_new_tokens = 4096;
  const ModelShape shape = SmallShape();
  const MemoryEstimate long_answer = Estimate(shape, spec, 0, 4);
  EXPECT_EQ(long_answer.evaluation,
            4096 * 2 * shape.key_value_heads * shape.head_dim * shape.layers * 4);
  EXPECT_GE(long_answer.peak, with.peak);
  spec.evaluation.result = "best";
  EXPECT_EQ(Estimate(shape, spec, 0, 4).peak, long_answer.peak + long_answer.trainable);
}

}  // namespace
}  // namespace dropbp
