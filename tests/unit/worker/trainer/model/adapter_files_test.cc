#include "worker/trainer/model/adapter_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "core/base/files.h"
#include "tests/unit/worker/trainer/model/small_decoder.h"
#include "worker/trainer/model/adapter_config.h"

namespace dropbp::trainer {
namespace {

using ::testing::HasSubstr;

std::string Folder(const std::string& name) {
  return ::testing::TempDir() + "adapter_files_" + name;
}

AdapterSpec SmallLora() { return {.lora = SmallOptions("lora").lora}; }

TEST(AdapterFilesTest, WhatIsWrittenIsReadBack) {
  const std::string dir = Folder("round_trip");
  const auto written = SmallDecoder(SmallOptions("lora"));
  ASSERT_TRUE(WriteAdapter(dir, *written, SmallLora(), "small").ok());
  const LoraSpec lora = ReadAdapterConfig(dir)->lora;
  EXPECT_EQ(lora.rank, 4);
  EXPECT_EQ(lora.alpha, 32);
  EXPECT_EQ(lora.target_modules.size(), 7u);
  DecoderOptions options = SmallOptions("lora");
  options.lora = lora;
  options.seed = 77;
  const auto read = Decoder::Random(SmallConfig(), options).value();
  ASSERT_TRUE(LoadAdapter(dir, *read).ok());
  for (size_t i = 0; i < read->trainable().size(); ++i) {
    EXPECT_TRUE(at::equal(read->trainable()[i].value, written->trainable()[i].value));
  }
}

TEST(AdapterFilesTest, WeightsOfAModelAreReadBackToo) {
  const std::string dir = Folder("model_round_trip");
  const auto written = SmallDecoder(SmallOptions("full"));
  ASSERT_TRUE(WriteModel(dir, *written, /*base_model_dir=*/"/nowhere").ok());
  DecoderOptions options = SmallOptions("full");
  options.seed = 77;
  const auto read = Decoder::Random(SmallConfig(), options).value();
  EXPECT_FALSE(at::equal(read->trainable()[0].value, written->trainable()[0].value));
  ASSERT_TRUE(LoadModelWeights(dir, *read).ok());
  for (size_t i = 0; i < read->trainable().size(); ++i) {
    EXPECT_TRUE(at::equal(read->trainable()[i].value, written->trainable()[i].value));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(
      LoadModelWeights(dir, *SmallDecoder(SmallOptions("full"), "gemma2"))));
}

TEST(AdapterFilesTest, AnAdapterThatDoesNotFitIsRefusedByName) {
  const std::string dir = Folder("unfit");
  ASSERT_TRUE(WriteAdapter(dir, *SmallDecoder(SmallOptions("lora")), SmallLora(), "small").ok());
  const auto message = [&](DecoderOptions options) {
    const auto decoder = Decoder::Random(SmallConfig(), options).value();
    return std::string(LoadAdapter(dir, *decoder).message());
  };
  DecoderOptions options = SmallOptions("lora");
  options.lora.rank = 8;
  EXPECT_THAT(message(options),
              HasSubstr("q_proj.lora_A.weight has the shape [4, 64], the model needs [8, 64]"));
  options = SmallOptions("lora");
  options.lora.target_modules = {"q_proj"};
  EXPECT_THAT(message(options), HasSubstr("which the model has no place for"));
  options = SmallOptions("full");
  EXPECT_THAT(message(options), HasSubstr("the file lacks model.embed_tokens.weight"));
}

TEST(AdapterFilesTest, AMissingFolderIsNamed) {
  EXPECT_THAT(std::string(ReadAdapterConfig("/nowhere").status().message()),
              HasSubstr("/nowhere/adapter_config.json"));
}

TEST(AdapterConfigTest, RefusesFeaturesThatWouldChangeTheResult) {
  const auto message = [](const std::string& extra) {
    const std::string text =
        R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"])" + extra +
        "}";
    return std::string(ParseAdapterConfig(text, "f").status().message());
  };
  EXPECT_EQ(message(""), "");
  EXPECT_EQ(message(R"(, "use_dora": false, "rank_pattern": {}, "new_field": 1)"), "");
  EXPECT_THAT(message(R"(, "use_dora": 1)"), HasSubstr("f: use_dora is"));
  EXPECT_THAT(message(R"(, "rank_pattern": {"q_proj": "2"})"), HasSubstr("f: rank_pattern is"));
  EXPECT_THAT(message(R"(, "rank_pattern": {"q_(": 2})"), HasSubstr("f: lora.rank_pattern: found"));
  EXPECT_THAT(message(R"(, "modules_to_save": ["norm"])"), HasSubstr("f: modules_to_save is"));
  EXPECT_THAT(message(R"(, "use_qalora": true)"), HasSubstr("f: use_qalora is"));
  EXPECT_THAT(message(R"(, "bias": "all")"), HasSubstr("f: bias is"));
  EXPECT_THAT(std::string(ParseAdapterConfig("[1]", "f").status().message()),
              HasSubstr("f: the file is"));
  EXPECT_THAT(std::string(ParseAdapterConfig("{", "f").status().message()), HasSubstr("f: "));
  EXPECT_THAT(
      std::string(ParseAdapterConfig(R"({"peft_type": "LORA", "target_modules": ".*"})", "f")
                      .status()
                      .message()),
      HasSubstr("f: target_modules is"));
}

TEST(AdapterFilesTest, AFullyTrainedModelIsAModelFolder) {
  const std::string base = Folder("base"), dir = Folder("full");
  ::mkdir(base.c_str(), 0755);
  ASSERT_TRUE(WriteFileAtomically(
                  base + "/config.json",
                  R"({"model_type": "llama", "vocab_size": 101, "hidden_size": 64, "head_dim": 16,
      "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
      "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "hidden_act": "silu", "eos_token_id": 2})")
                  .ok());
  const auto trained = SmallDecoder(SmallOptions("full"));
  ASSERT_TRUE(WriteModel(dir, *trained, base).ok());
  const auto loaded = Decoder::Load(dir, SmallOptions("none"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const at::Tensor ids = MakeBatch().ids;
  EXPECT_TRUE(at::equal((*loaded)->Forward(ids, {}), trained->Forward(ids, {}).detach()));
}

}  // namespace
}  // namespace dropbp::trainer
