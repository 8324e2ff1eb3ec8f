#include "core/plan/tuning.h"

#include <gtest/gtest.h>

#include "core/plan/layer_table.h"
#include "core/plan/memory_estimate.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

constexpr char kValue[] = "model.layers.3.self_attn.v_proj";
constexpr char kDown[] = "model.layers.3.mlp.down_proj";

JobSpec JobOf(const std::string& method) {
  JobSpec spec;
  spec.method = method;
  spec.lora.rank = 8;
  return spec;
}

LayerTable TableOf(const JobSpec& spec) { return BuildLayerTable(SmolLm2(), spec, 128).value(); }

MemoryEstimate EstimateOf(const JobSpec& spec) {
  const LayerTable table = TableOf(spec);
  const DropPlan plan =
      MakeDropPlan(table, std::vector<double>(table.units.size(), 0), 0, 1, 0).value();
  return EstimateMemory(SmolLm2(), spec, table, plan, {.dtype_bytes = 2});
}

TEST(TuningTest, SaysWhatAMethodTrainsOfAModule) {
  EXPECT_EQ(Tuning::Make(JobOf("full"))->Of(kValue).TrainableElements(10, 20), 200);
  EXPECT_EQ(Tuning::Make(JobOf("lora"))->Of(kValue).TrainableElements(10, 20), 8 * 30);
  EXPECT_EQ(Tuning::Make(JobOf("prompt_tuning"))->Of(kValue).TrainableElements(10, 20), 0);
  const Tuning ia3 = Tuning::Make(JobOf("ia3")).value();
  EXPECT_EQ(ia3.Of(kValue).TrainableElements(10, 20), 20);
  EXPECT_EQ(ia3.Of(kDown).TrainableElements(10, 20), 10);
  EXPECT_EQ(ia3.Of("model.layers.3.mlp.up_proj").TrainableElements(10, 20), 0);
  JobSpec dora = JobOf("qlora");
  dora.lora.use_dora = true;
  EXPECT_EQ(Tuning::Make(dora)->Of(kDown).TrainableElements(10, 20), 8 * 30 + 20);
  EXPECT_EQ(Tuning::Make(dora)->Of(kDown).KeptElements(20), 8 + 20);
}

TEST(TuningTest, GradientsOfFrozenWeightsCostNothing) {
  EXPECT_EQ(Tuning::Make(JobOf("full"))->Of(kValue).BackwardFlops(10, 20), 4 * 200);
  EXPECT_EQ(Tuning::Make(JobOf("ia3"))->Of(kValue).BackwardFlops(10, 20), 2 * 200);
  EXPECT_EQ(Tuning::Make(JobOf("lora"))->Of(kValue).BackwardFlops(10, 20), 2 * 200 + 4 * 8 * 30);
}

TEST(TuningTest, QuantizedWeightsTakeFourBitsAndTheirScales) {
  JobSpec spec = JobOf("qlora");
  EXPECT_NEAR(Tuning::Make(spec)->QuantizedBits(), 4.127, 5e-4);
  spec.qlora.double_quant = false;
  EXPECT_EQ(Tuning::Make(spec)->QuantizedBits(), 4.5);
}

TEST(TuningTest, LayersOfOtherRanksAreStrataOfTheirOwn) {
  JobSpec spec = JobOf("lora");
  EXPECT_EQ(TableOf(spec).strata, 2);
  spec.lora.rank_pattern = {{"layers.0.self_attn.q_proj", 16}};
  const LayerTable table = TableOf(spec);
  EXPECT_EQ(table.strata, 3);
  EXPECT_GT(table.units[0].trainable_elements, table.units[2].trainable_elements);
}

TEST(TuningTest, SavedModulesAndVirtualTokensBelongToNoUnit) {
  JobSpec spec = JobOf("lora");
  const LayerTable plain = TableOf(spec);
  spec.lora.modules_to_save = {"lm_head"};
  const LayerTable saved = TableOf(spec);
  EXPECT_EQ(plain.fixed_trainable_elements, 0);
  EXPECT_EQ(saved.fixed_trainable_elements, 49152 * 576);
  EXPECT_EQ(saved.head_backward_flops, 2 * plain.head_backward_flops);
  const LayerTable prompt = TableOf(JobOf("prompt_tuning"));
  EXPECT_EQ(prompt.TrainableElements(), 20 * 576);
  // Twenty more positions for every query to look at.
  EXPECT_EQ(prompt.units[0].forward_flops - TableOf(JobOf("ia3")).units[0].forward_flops,
            4 * 20 * 576);
}

TEST(TuningTest, QloraHoldsAQuarterOfTheLinearWeightsAndOneDenseBlock) {
  const MemoryEstimate lora = EstimateOf(JobOf("lora"));
  const MemoryEstimate qlora = EstimateOf(JobOf("qlora"));
  const int64_t linear = 134'515'008 - 49152 * 576 - (2 * 30 + 1) * 576;
  EXPECT_NEAR(static_cast<double>(lora.weights - qlora.weights),
              static_cast<double>(linear) * (2 - 4.127 / 8) - 2.0 * 576 * 3072, 1e4);
  EXPECT_EQ(lora.activations, qlora.activations);
  EXPECT_EQ(lora.trainable, qlora.trainable);
}

}  // namespace
}  // namespace dropbp
