#include "worker/hf/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/worker/hf/family_configs.h"
#include "tests/unit/worker/hf/temporary_folder.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

json LlamaConfig() {
  return {{"model_type", "llama"},       {"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 576},          {"intermediate_size", 1536},
          {"num_hidden_layers", 30},     {"num_attention_heads", 9},
          {"num_key_value_heads", 3},    {"vocab_size", 49152},
          {"hidden_act", "silu"},        {"rms_norm_eps", 1e-5},
          {"rope_theta", 100000},        {"max_position_embeddings", 8192},
          {"tie_word_embeddings", true}, {"torch_dtype", "bfloat16"},
          {"bos_token_id", 1},           {"eos_token_id", 2}};
}

TEST(ModelConfigTest, ReadsTheKeysOfTransformers4) {
  const auto config = ParseModelConfig(LlamaConfig().dump(), "m");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->shape.layers, 30);
  EXPECT_EQ(config->shape.head_dim, 64);
  EXPECT_EQ(config->shape.key_value_heads, 3);
  EXPECT_TRUE(config->shape.tied_embeddings);
  EXPECT_EQ(config->ropes[0].theta, 100000);
  EXPECT_EQ(config->dtype, "bfloat16");
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
}

TEST(ModelConfigTest, ReadsTheKeysOfTransformers5) {
  json text = LlamaConfig();
  text.erase("rope_theta");
  text.erase("torch_dtype");
  text["dtype"] = "float32";
  text["rope_parameters"] = {{"rope_theta", 500000.0}, {"rope_type", "default"}};
  text["eos_token_id"] = {5, 6};
  text["pad_token_id"] = nullptr;
  const auto config = ParseModelConfig(text.dump(), "m");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->ropes[0].theta, 500000);
  EXPECT_EQ(config->dtype, "float32");
  EXPECT_THAT(config->eos_token_ids, ElementsAre(5, 6));
  EXPECT_EQ(config->pad_token_id, -1);
}

TEST(ModelConfigTest, GivesMissingFieldsTheDefaultsOfTheirClass) {
  json text = LlamaConfig();
  for (const char* field : {"num_key_value_heads", "rms_norm_eps", "rope_theta", "bos_token_id",
                            "eos_token_id", "tie_word_embeddings"}) {
    text.erase(field);
  }
  const auto config = ParseModelConfig(text.dump(), "m");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->shape.key_value_heads, 9);
  EXPECT_EQ(config->rms_norm_eps, 1e-6);
  EXPECT_EQ(config->ropes[0].theta, 10000);
  EXPECT_EQ(config->bos_token_id, 1);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2));
  EXPECT_FALSE(config->shape.tied_embeddings);
}

TEST(ModelConfigTest, RefusesWhatWouldChangeTheResult) {
  const json good = LlamaConfig();
  EXPECT_THAT(ErrorOf(With(good, "model_type", "gpt2")),
              AllOf(HasSubstr("model_type is \"gpt2\""),
                    HasSubstr("supported: llama, mistral, qwen2, qwen3, smollm3, gemma2, "
                              "gemma3_text, phi3")));
  EXPECT_THAT(ErrorOf(With(good, "architectures", {"LlamaForSequenceClassification"})),
              HasSubstr("architectures is a list of 1; supported: LlamaForCausalLM"));
  EXPECT_THAT(ErrorOf(With(good, "hidden_act", "gelu")),
              HasSubstr("hidden_act is \"gelu\"; supported: silu, gelu_pytorch_tanh"));
  EXPECT_THAT(ErrorOf(With(good, "attention_dropout", 0.1)), HasSubstr("attention_dropout is 0.1"));
  EXPECT_THAT(ErrorOf(With(good, "resid_pdrop", 0.1)), HasSubstr("resid_pdrop is 0.1"));
  EXPECT_THAT(ErrorOf(With(good, "sliding_window", 64)),
              HasSubstr("sliding_window is 64; supported: null"));
  EXPECT_THAT(ErrorOf(With(good, "layer_types", json::array())),
              HasSubstr("layer_types is a list of 0; supported: null for model_type llama"));
  EXPECT_THAT(ErrorOf(With(good, "partial_rotary_factor", 0.5)),
              HasSubstr("partial_rotary_factor is 0.5; supported: 1.0"));
  EXPECT_THAT(ErrorOf(With(good, "quantization_config", {{"bits", 4}})),
              HasSubstr("quantization_config"));
}

TEST(ModelConfigTest, RefusesShapesThatCannotBe) {
  const json good = LlamaConfig();
  json missing = good;
  missing.erase("hidden_size");
  EXPECT_THAT(ErrorOf(missing), HasSubstr("hidden_size is missing"));
  EXPECT_THAT(ErrorOf(With(good, "num_hidden_layers", 0)),
              HasSubstr("num_hidden_layers is 0; supported: a whole number from 1"));
  EXPECT_THAT(ErrorOf(With(good, "num_hidden_layers", "30")),
              HasSubstr("num_hidden_layers is \"30\""));
  EXPECT_THAT(ErrorOf(With(good, "vocab_size", 18446744073709551615u)),
              HasSubstr("vocab_size is 18446744073709551615"));
  EXPECT_THAT(ErrorOf(With(good, "num_key_value_heads", 2)), HasSubstr("is not a multiple of"));
  EXPECT_THAT(ErrorOf(With(good, "num_attention_heads", 7)), HasSubstr("is not a multiple of"));
  EXPECT_THAT(ErrorOf(With(good, "head_dim", 63)), HasSubstr("head_dim is 63"));
  EXPECT_THAT(ErrorOf(With(good, "rms_norm_eps", -1)), HasSubstr("rms_norm_eps is -1"));
  EXPECT_THAT(ErrorOf(With(good, "eos_token_id", 49152)), HasSubstr("eos_token_id is 49152"));
  EXPECT_THAT(ErrorOf(With(good, "eos_token_id", {1, "x"})), HasSubstr("eos_token_id is a list"));
  EXPECT_THAT(ErrorOf(With(good, "bos_token_id", 49152)), HasSubstr("bos_token_id is 49152"));
  EXPECT_THAT(ErrorOf(With(good, "mlp_bias", 1)), HasSubstr("mlp_bias is 1"));
}

TEST(ModelConfigTest, RefusesTextThatIsNoObject) {
  EXPECT_THAT(ParseModelConfig("[]", "m").status().message(), HasSubstr("legal is an object"));
  EXPECT_THAT(ParseModelConfig("{\n  \"a\": }", "m").status().message(), HasSubstr("m: line 2"));
  EXPECT_THAT(ParseModelConfig("{\"a\":1,\"a\":2}", "m").status().message(),
              HasSubstr("the key \"a\" occurs twice"));
}

TEST(ModelConfigTest, TakesEndTokensFromTheGenerationConfig) {
  TemporaryFolder folder;
  folder.Write("config.json", LlamaConfig().dump());
  folder.Write("generation_config.json", R"({"eos_token_id": [2, 7]})");
  const auto config = ReadModelConfig(folder.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->eos_token_ids, ElementsAre(2, 7));

  folder.Write("generation_config.json", R"({"eos_token_id": "two"})");
  EXPECT_THAT(ReadModelConfig(folder.path()).status().message(),
              HasSubstr("generation_config.json: eos_token_id is \"two\""));
}

TEST(ModelConfigTest, NamesTheFileThatIsMissingOrTooLarge) {
  TemporaryFolder folder;
  EXPECT_THAT(ReadModelConfig(folder.path()).status().message(), HasSubstr("config.json"));
  folder.Write("config.json", std::string((1 << 20) + 1, ' '));
  EXPECT_THAT(ReadModelConfig(folder.path()).status().message(), HasSubstr("config.json"));
}

}  // namespace
}  // namespace dropbp::hf
