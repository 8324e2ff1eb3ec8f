#include "core/plan/layer_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

TEST(LayerTableTest, AgreesWithAHandCalculationForSmolLm2WithLora) {
  const LayerTable table = TableOf(SmolLm2());
  ASSERT_EQ(table.units.size(), 60u);
  EXPECT_EQ(table.strata, 2);

  // q, o: 576 * 576; k, v: 576 * 192. Adapters of rank 16: 16 * (in + out).
  const int64_t attention_weights = 2 * 331776 + 2 * 110592;
  const int64_t attention_adapters = 2 * 16 * 1152 + 2 * 16 * 768;
  const int64_t core = 4 * 512 * 9 * 64;
  const Unit& attention = table.units[0];
  EXPECT_EQ(attention.kind, UnitKind::kAttention);
  EXPECT_EQ(attention.trainable_elements, 61440);
  EXPECT_EQ(attention.forward_flops, 2 * attention_weights + 2 * attention_adapters + core);
  EXPECT_EQ(attention.forward_flops, 3072000);
  EXPECT_EQ(attention.backward_flops, 2 * attention_weights + 4 * attention_adapters + 2 * core);
  EXPECT_EQ(attention.backward_flops, 4374528);

  // gate, up, down: 576 * 1536 each.
  const Unit& mlp = table.units[1];
  EXPECT_EQ(mlp.kind, UnitKind::kMlp);
  EXPECT_EQ(mlp.trainable_elements, 3 * 16 * (576 + 1536));
  EXPECT_EQ(mlp.forward_flops, 5511168);
  EXPECT_EQ(mlp.backward_flops, 5713920);

  EXPECT_EQ(table.head_forward_flops, 2 * 576 * 49152);
  EXPECT_EQ(table.head_backward_flops, 2 * 576 * 49152);
  EXPECT_EQ(table.TotalBackwardFlops(), 30 * (4374528 + 5713920));
}

TEST(LayerTableTest, AgreesWithAHandCalculationForLlama2With7BAndFullTuning) {
  const LayerTable table = TableOf(Llama2With7B(), FullTuning());
  ASSERT_EQ(table.units.size(), 64u);
  const Unit& attention = table.units[0];  // four times 4096 * 4096; scores and mix 4 * 512 * 4096
  EXPECT_EQ(attention.forward_flops, 142606336);
  EXPECT_EQ(attention.backward_flops, 285212672);
  EXPECT_EQ(attention.trainable_elements, 67108864 + 4096);
  const Unit& mlp = table.units[1];  // three times 4096 * 11008
  EXPECT_EQ(mlp.forward_flops, 270532608);
  EXPECT_EQ(mlp.backward_flops, 541065216);
  EXPECT_EQ(mlp.trainable_elements, 135266304 + 4096);
  EXPECT_EQ(table.head_forward_flops, 262144000);
  EXPECT_EQ(table.head_backward_flops, 524288000);
}

TEST(LayerTableTest, OrdersUnitsByLayerWithAttentionFirst) {
  const LayerTable table = TableOf(SmolLm2());
  for (size_t u = 0; u < table.units.size(); ++u) {
    EXPECT_EQ(table.units[u].layer, static_cast<int64_t>(u / 2));
    EXPECT_EQ(table.units[u].kind, u % 2 == 0 ? UnitKind::kAttention : UnitKind::kMlp);
    EXPECT_EQ(table.units[u].stratum, static_cast<int>(u % 2));
  }
}

TEST(LayerTableTest, CountsOnlyInputGradientsWhereThereIsNoAdapter) {
  const LayerTable table = TableOf(SmolLm2(), LoraOn({"q_proj", "v_proj"}));
  EXPECT_EQ(table.units[0].trainable_elements, 16 * (1152 + 768));
  const Unit& mlp = table.units[1];
  EXPECT_EQ(mlp.trainable_elements, 0);
  EXPECT_EQ(mlp.forward_flops, 2 * 3 * 576 * 1536);
  EXPECT_EQ(mlp.backward_flops, 2 * 3 * 576 * 1536);
}

TEST(LayerTableTest, TakesAllLinearAsTheSevenModulesByName) {
  JobSpec named;
  named.lora.target_modules = LinearModules(SmolLm2());
  EXPECT_EQ(named.lora.target_modules.size(), 7u);
  EXPECT_EQ(TableOf(SmolLm2(), named).TotalBackwardFlops(),
            TableOf(SmolLm2()).TotalBackwardFlops());
}

TEST(LayerTableTest, FusedProjectionsHaveOneAdapterForAllTheyStandFor) {
  ModelShape shape = SmolLm2();
  shape.fused_projections = true;
  const LayerTable fused = TableOf(shape), separate = TableOf(SmolLm2());
  // A of q, k and v is one matrix in place of three.
  EXPECT_EQ(separate.units[0].trainable_elements - fused.units[0].trainable_elements, 2 * 16 * 576);
  EXPECT_EQ(separate.units[1].trainable_elements - fused.units[1].trainable_elements, 16 * 576);
  EXPECT_EQ(TableOf(shape, FullTuning()).TotalBackwardFlops(),
            TableOf(SmolLm2(), FullTuning()).TotalBackwardFlops());
  EXPECT_THAT(
      std::string(BuildLayerTable(shape, LoraOn({"q_proj"}), 512).status().message()),
      HasSubstr("found \"q_proj\", legal is all-linear alone, or qkv_proj, o_proj, gate_up_proj"));
}

TEST(LayerTableTest, LayersWithAWindowCostLessAndHaveAStratumOfTheirOwn) {
  ModelShape shape = SmolLm2();
  shape.windows.assign(30, 0);
  for (int64_t layer = 0; layer < 30; layer += 2) shape.windows[layer] = 128;
  const LayerTable table = TableOf(shape);
  EXPECT_EQ(table.strata, 3);
  EXPECT_EQ(table.units[2].backward_flops - table.units[0].backward_flops,
            8 * (512 - 128) * 9 * 64);
  EXPECT_EQ(table.units[1].backward_flops, table.units[3].backward_flops);
  shape.windows.assign(30, 512);  // as long as the sequence
  EXPECT_EQ(TableOf(shape).TotalBackwardFlops(), TableOf(SmolLm2()).TotalBackwardFlops());
  shape.windows.pop_back();
  EXPECT_THAT(std::string(BuildLayerTable(shape, {}, 512).status().message()),
              HasSubstr("windows: found 29, legal is none or one a layer"));
}

TEST(LayerTableTest, RefusesUnknownTargetModules) {
  const auto table = BuildLayerTable(SmolLm2(), LoraOn({"lm_head"}), 512);
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(table.status().message()),
      HasSubstr("lora.target_modules: found \"lm_head\", legal is all-linear alone, or q_proj"));
}

TEST(LayerTableTest, RefusesImpossibleShapesByName) {
  const auto error = [](ModelShape shape) {
    return std::string(BuildLayerTable(shape, {}, 512).status().message());
  };
  ModelShape shape = SmolLm2();
  shape.layers = 0;
  EXPECT_THAT(error(shape), HasSubstr("layers: found 0, legal is 1 to 10000"));
  shape = SmolLm2();
  shape.hidden_size = int64_t{1} << 40;
  EXPECT_THAT(error(shape), HasSubstr("hidden_size"));
  shape = SmolLm2();
  shape.key_value_heads = 10;
  EXPECT_THAT(error(shape), HasSubstr("key_value_heads: found 10, legal is 1 to 9"));
  EXPECT_EQ(BuildLayerTable(SmolLm2(), {}, 0).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LayerTableTest, DoesNotOverflowForTheLargestShapes) {
  const int64_t width = int64_t{1} << 22;
  const ModelShape shape{.layers = 10000,
                         .hidden_size = width,
                         .intermediate_size = width,
                         .attention_heads = 1,
                         .key_value_heads = 1,
                         .head_dim = width,
                         .vocab_size = 1 << 24};
  const auto table = BuildLayerTable(shape, FullTuning(), 1 << 20);
  ASSERT_TRUE(table.ok());
  EXPECT_GT(table->TotalBackwardFlops(), 0);
}

}  // namespace
}  // namespace dropbp
