// How families differ, as far as config.json and transformers' classes say.
#include "worker/hf/model_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/unit/worker/hf/family_configs.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(ModelFamilyTest, LlamaHasNoneOfTheDifferences) {
  const ModelConfig config = Parsed(With(ConfigOf("llama"), "pretraining_tp", 1));
  EXPECT_THAT(config.shape.windows, IsEmpty());
  EXPECT_FALSE(config.shape.fused_projections || config.shape.qkv_bias || config.shape.post_norms ||
               config.shape.query_key_norms || config.shape.mlp_bias);
  EXPECT_FALSE(config.unit_offset_norms || config.scaled_embeddings);
  EXPECT_EQ(config.activation, Activation::kSilu);
  EXPECT_EQ(config.attention_scale, 0);
  EXPECT_EQ(config.attention_softcap, 0);
  EXPECT_EQ(config.logit_softcap, 0);
  json biased = With(ConfigOf("llama"), "attention_bias", true);
  biased["mlp_bias"] = true;
  EXPECT_TRUE(Parsed(biased).shape.attention_output_bias);
  EXPECT_TRUE(Parsed(biased).shape.mlp_bias);
}

TEST(ModelFamilyTest, MistralHasAWindowInEveryLayerUnlessItIsNull) {
  const json config = ConfigOf("mistral");
  EXPECT_THAT(Parsed(config).shape.windows, ElementsAre(4096, 4096, 4096, 4096, 4096, 4096));
  EXPECT_EQ(Parsed(With(config, "sliding_window", 7)).shape.windows[5], 7);
  EXPECT_THAT(Parsed(With(config, "sliding_window", nullptr)).shape.windows, IsEmpty());
  EXPECT_THAT(ErrorOf(With(config, "sliding_window", 0)), HasSubstr("sliding_window is 0"));
  json without = config;
  without.erase("num_key_value_heads");
  without["num_attention_heads"] = 16;
  EXPECT_EQ(Parsed(without).shape.key_value_heads, 8);
  EXPECT_EQ(Parsed(With(without, "num_key_value_heads", nullptr)).shape.key_value_heads, 16);
}

TEST(ModelFamilyTest, Qwen2HasBiasesOfQueriesKeysAndValuesAndWindowsInUpperLayers) {
  json config = ConfigOf("qwen2");
  EXPECT_TRUE(Parsed(config).shape.qkv_bias);
  EXPECT_FALSE(Parsed(config).shape.attention_output_bias);
  EXPECT_THAT(Parsed(config).shape.windows, IsEmpty());
  EXPECT_THAT(Parsed(config).eos_token_ids, IsEmpty());
  config["use_sliding_window"] = true;
  config["sliding_window"] = 32;
  config["max_window_layers"] = 4;
  EXPECT_THAT(Parsed(config).shape.windows, ElementsAre(0, 0, 0, 0, 32, 32));
  config["max_window_layers"] = 6;
  EXPECT_THAT(Parsed(config).shape.windows, IsEmpty());
}

TEST(ModelFamilyTest, LayerTypesWinOverTheRuleOfTheFamily) {
  const std::string full = "full_attention", sliding = "sliding_attention";
  json config = ConfigOf("qwen3");
  config["use_sliding_window"] = true;
  config["sliding_window"] = 32;
  config["layer_types"] = {sliding, full, full, sliding, full, full};
  EXPECT_THAT(Parsed(config).shape.windows, ElementsAre(32, 0, 0, 32, 0, 0));
  EXPECT_THAT(ErrorOf(With(config, "use_sliding_window", false)),
              HasSubstr("sliding_window is null or not in use"));
  EXPECT_THAT(ErrorOf(With(config, "layer_types", {full})),
              HasSubstr("layer_types is a list of 1; supported: a list of num_hidden_layers = 6"));
  config["layer_types"][2] = "chunked_attention";
  EXPECT_THAT(ErrorOf(config), HasSubstr("times full_attention or sliding_attention"));
}

TEST(ModelFamilyTest, Qwen3NormsHeadsOfTheirOwnWidth) {
  json config = ConfigOf("qwen3");
  config.erase("head_dim");
  EXPECT_EQ(Parsed(config).shape.head_dim, 128);
  EXPECT_TRUE(Parsed(config).shape.query_key_norms);
  EXPECT_TRUE(Parsed(With(config, "attention_bias", true)).shape.attention_output_bias);
}

TEST(ModelFamilyTest, SmolLm3LeavesEachFourthLayerUnrotatedUnlessAListSaysMore) {
  json config = ConfigOf("smollm3");
  EXPECT_THAT(Parsed(config).rope_of_layer, ElementsAre(0, 0, 0, -1, 0, 0));
  EXPECT_EQ(Parsed(config).ropes[0].theta, 2e6);
  EXPECT_TRUE(Parsed(config).shape.tied_embeddings);
  EXPECT_THAT(Parsed(With(config, "no_rope_layer_interval", 2)).rope_of_layer,
              ElementsAre(0, -1, 0, -1, 0, -1));
  config["no_rope_layers"] = {0, 1, 1, 1, 1, 0};
  EXPECT_THAT(Parsed(config).rope_of_layer, ElementsAre(-1, 0, 0, 0, 0, -1));
  config["use_sliding_window"] = true;
  config["sliding_window"] = 5;
  EXPECT_THAT(Parsed(config).shape.windows, ElementsAre(5, 0, 0, 0, 0, 5));
  EXPECT_THAT(ErrorOf(With(config, "no_rope_layers", {0, 1})),
              HasSubstr("no_rope_layers is a list of 2; supported: a list of 0 and 1, one for"));
}

TEST(ModelFamilyTest, Gemma2CapsScalesAndAlternates) {
  json config = ConfigOf("gemma2");
  const ModelConfig parsed = Parsed(config);
  EXPECT_EQ(parsed.attention_softcap, 50);
  EXPECT_EQ(parsed.logit_softcap, 30);
  EXPECT_EQ(parsed.attention_scale, 1.0 / 16);
  EXPECT_EQ(parsed.activation, Activation::kGeluTanh);
  EXPECT_TRUE(parsed.unit_offset_norms && parsed.scaled_embeddings);
  EXPECT_TRUE(parsed.shape.post_norms && parsed.shape.tied_embeddings);
  EXPECT_THAT(parsed.shape.windows, ElementsAre(4096, 0, 4096, 0, 4096, 0));
  config["attn_logit_softcapping"] = nullptr;
  config["final_logit_softcapping"] = 7;
  config["query_pre_attn_scalar"] = 144;
  config["hidden_act"] = "gelu";  // the class reads hidden_activation only
  EXPECT_EQ(Parsed(config).attention_softcap, 0);
  EXPECT_EQ(Parsed(config).logit_softcap, 7);
  EXPECT_EQ(Parsed(config).attention_scale, 1.0 / 12);
  EXPECT_THAT(ErrorOf(With(config, "hidden_activation", "relu")),
              HasSubstr("hidden_activation is \"relu\""));
  EXPECT_THAT(ErrorOf(With(config, "use_bidirectional_attention", true)),
              HasSubstr("use_bidirectional_attention is true; supported: false"));
}

TEST(ModelFamilyTest, Gemma3HasAWindowInFiveOfSixLayersAndNoCaps) {
  json config = ConfigOf("gemma3_text");
  EXPECT_THAT(Parsed(config).shape.windows, ElementsAre(4096, 4096, 4096, 4096, 4096, 0));
  EXPECT_EQ(Parsed(config).logit_softcap, 0);
  EXPECT_TRUE(Parsed(config).shape.query_key_norms);
  config["sliding_window_pattern"] = 3;
  config["sliding_window"] = 512;
  EXPECT_THAT(Parsed(config).shape.windows, ElementsAre(512, 512, 0, 512, 512, 0));
  EXPECT_THAT(ErrorOf(With(config, "attn_logit_softcapping", 50)),
              HasSubstr("attn_logit_softcapping is 50; supported: null"));
}

TEST(ModelFamilyTest, Phi3JoinsProjections) {
  const ModelConfig config = Parsed(With(ConfigOf("phi3"), "sliding_window", 2047));
  EXPECT_TRUE(config.shape.fused_projections);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_EQ(config.shape.windows[0], 2047);
  EXPECT_EQ(config.pad_token_id, -1);  // that of the class lies outside of the vocabulary
  EXPECT_THAT(Parsed(ConfigOf("phi3")).shape.windows, IsEmpty());
}

}  // namespace
}  // namespace dropbp::hf
