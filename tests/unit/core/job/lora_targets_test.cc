#include "core/job/lora_targets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp {
namespace {

using ::testing::HasSubstr;

constexpr char kQuery[] = "model.layers.0.self_attn.q_proj";
constexpr char kUp[] = "model.layers.11.mlp.up_proj";

AdapterShape Of(const LoraSpec& lora, const char* module) {
  const auto targets = LoraTargets::Make(lora);
  EXPECT_TRUE(targets.ok()) << targets.status();
  return targets->Of(module);
}

TEST(LoraTargetsTest, AModuleIsATargetByItsNameOrTheEndOfItsPath) {
  LoraSpec lora{.rank = 4, .alpha = 8};
  EXPECT_EQ(Of(lora, kUp).rank, 4);
  EXPECT_EQ(Of(lora, kUp).scaling, 2);
  lora.target_modules = {"q_proj", "layers.11.mlp.up_proj"};
  EXPECT_EQ(Of(lora, kQuery).rank, 4);
  EXPECT_EQ(Of(lora, kUp).rank, 4);
  EXPECT_EQ(Of(lora, "model.layers.1.mlp.up_proj").rank, 0);
  EXPECT_EQ(Of(lora, "model.layers.0.self_attn.xq_proj").rank, 0);
}

TEST(LoraTargetsTest, PatternsMatchFromBehindADotToTheEnd) {
  const LoraSpec lora{.rank = 4,
                      .alpha = 8,
                      .rank_pattern = {{"layers.1.*", 16}, {"q_proj", 2}},
                      .alpha_pattern = {{"self_attn.q_proj", 3.5}, {"roj", 1}}};
  EXPECT_EQ(Of(lora, kQuery).rank, 2);
  EXPECT_EQ(Of(lora, kQuery).scaling, 1.75);
  EXPECT_EQ(Of(lora, kUp).rank, 16);  // "layers.1.*" is an expression: 11 is a 1 and something
  EXPECT_EQ(Of(lora, kUp).scaling, 0.5);
  EXPECT_EQ(Of(lora, "model.layers.2.mlp.up_proj").rank, 4);
}

TEST(LoraTargetsTest, OfSeveralPatternsTheFirstInTheAlphabetCounts) {
  const LoraSpec lora{.rank_pattern = {{"q_proj", 2}, {".*_proj", 3}}};
  EXPECT_EQ(Of(lora, kQuery).rank, 3);
}

TEST(LoraTargetsTest, RsloraDividesByTheRootOfTheRankAtHand) {
  const LoraSpec lora{.rank = 16, .alpha = 8, .use_rslora = true, .rank_pattern = {{"q_proj", 4}}};
  EXPECT_EQ(Of(lora, kUp).scaling, 2);
  EXPECT_EQ(Of(lora, kQuery).scaling, 4);
}

TEST(LoraTargetsTest, NamesThePatternThatCannotBe) {
  const auto message = [](const LoraSpec& lora) {
    return std::string(LoraTargets::Make(lora).status().message());
  };
  EXPECT_THAT(message({.rank_pattern = {{"q_(", 2}}}),
              HasSubstr("lora.rank_pattern: found \"q_(\", legal is a regular expression"));
  EXPECT_THAT(message({.rank_pattern = {{"q", 1.5}}}), HasSubstr("lora.rank_pattern: found 1.5"));
  EXPECT_THAT(message({.rank_pattern = {{"q", 0}}}), HasSubstr("lora.rank_pattern: found 0"));
  EXPECT_THAT(message({.alpha_pattern = {{"q", -1}}}), HasSubstr("lora.alpha_pattern: found -1"));
  EXPECT_THAT(message({.rank_pattern = {{"(((((q{900}){900}){900}))", 2}}}),
              HasSubstr("lora.rank_pattern"));
}

}  // namespace
}  // namespace dropbp
