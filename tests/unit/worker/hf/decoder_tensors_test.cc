#include "worker/hf/decoder_tensors.h"

#include <gmock/gmock.h>

namespace dropbp::hf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class DecoderTensorsTest : public testing::Test {
 protected:
  DecoderTensorsTest() {
    config_.shape = {.model_type = "llama",
                     .layers = 2,
                     .hidden_size = 8,
                     .intermediate_size = 12,
                     .attention_heads = 4,
                     .key_value_heads = 2,
                     .head_dim = 2,
                     .vocab_size = 16,
                     .tied_embeddings = true};
    for (const auto& [name, shape] : DecoderTensors(config_))
      model_.tensors[name] = {.shape = shape, .data = {}};
  }

  std::string Error() {
    const absl::Status status = CheckDecoderTensors(config_, model_, "tiny");
    return std::string(status.message());
  }

  ModelConfig config_;
  ModelTensors model_;
};

TEST_F(DecoderTensorsTest, ATiedModelHasNineTensorsALayerAndTwoMore) {
  EXPECT_THAT(DecoderTensors(config_), SizeIs(2 * 9 + 2));
  EXPECT_EQ(Error(), "");
}

TEST_F(DecoderTensorsTest, BiasesAndAnUntiedHeadAreAsked) {
  config_.shape.qkv_bias = true;
  config_.shape.attention_output_bias = true;
  config_.shape.mlp_bias = true;
  config_.shape.tied_embeddings = false;
  EXPECT_THAT(DecoderTensors(config_), SizeIs(2 * (9 + 7) + 3));
}

TEST_F(DecoderTensorsTest, FamiliesHaveTensorsOfTheirOwn) {
  config_.shape.fused_projections = true;
  const auto fused = DecoderTensors(config_);
  EXPECT_THAT(fused, SizeIs(2 * 6 + 2));
  EXPECT_THAT(fused.at("model.layers.1.self_attn.qkv_proj.weight"), ElementsAre(16, 8));
  EXPECT_THAT(fused.at("model.layers.0.mlp.gate_up_proj.weight"), ElementsAre(24, 8));
  config_.shape.fused_projections = false;
  config_.shape.post_norms = true;
  config_.shape.query_key_norms = true;
  const auto gemma = DecoderTensors(config_);
  EXPECT_THAT(gemma, SizeIs(2 * (9 + 2 + 2) + 2));
  EXPECT_THAT(gemma.at("model.layers.1.post_feedforward_layernorm.weight"), ElementsAre(8));
  EXPECT_THAT(gemma.at("model.layers.0.self_attn.k_norm.weight"), ElementsAre(2));
}

TEST_F(DecoderTensorsTest, NamesWhatIsMissingOrTooMuch) {
  const auto node = model_.tensors.extract("model.layers.1.mlp.up_proj.weight");
  EXPECT_EQ(Error(), "tiny: the weights lack the tensor model.layers.1.mlp.up_proj.weight");
  model_.tensors["model.layers.1.mlp.up_proj.weight"] = node.mapped();
  model_.tensors["model.layers.2.mlp.up_proj.weight"] = node.mapped();
  EXPECT_THAT(Error(), HasSubstr("hold model.layers.2.mlp.up_proj.weight, which the architecture"));
}

TEST_F(DecoderTensorsTest, NamesAWrongShapeAndAWrongType) {
  model_.tensors["model.norm.weight"].shape = {9};
  EXPECT_EQ(Error(), "tiny: model.norm.weight has the shape [9], but config.json asks for [8]");
  model_.tensors["model.norm.weight"] = {.type = TensorType::kI8, .shape = {8}, .data = {}};
  EXPECT_THAT(Error(), HasSubstr("model.norm.weight is of no floating-point type"));
}

TEST_F(DecoderTensorsTest, ARepeatedHeadAndRotaryFrequenciesAreIgnored) {
  model_.tensors["lm_head.weight"] = {.shape = {16, 8}, .data = {}};
  model_.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {.shape = {1}, .data = {}};
  EXPECT_EQ(Error(), "");
}

}  // namespace
}  // namespace dropbp::hf
