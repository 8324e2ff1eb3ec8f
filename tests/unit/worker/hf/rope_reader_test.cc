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
using testing::SizeIs;

const json kLlama3 = {{"rope_type", "llama3"},
                      {"factor", 8},
                      {"low_freq_factor", 1},
                      {"high_freq_factor", 4},
                      {"original_max_position_embeddings", 8192}};

TEST(RopeReaderTest, ReadsLlama3ScalingInBothSpellings) {
  const ModelConfig old = Parsed(With(ConfigOf("llama"), "rope_scaling", kLlama3));
  ASSERT_THAT(old.ropes, SizeIs(1));
  EXPECT_EQ(old.ropes[0].type, "llama3");
  EXPECT_EQ(old.ropes[0].factor, 8);
  EXPECT_EQ(old.ropes[0].high_freq_factor, 4);
  EXPECT_EQ(old.ropes[0].original_positions, 8192);
  json parameters = kLlama3;
  parameters["rope_theta"] = 5e5;
  const ModelConfig fresh = Parsed(With(ConfigOf("llama"), "rope_parameters", parameters));
  EXPECT_EQ(fresh.ropes[0].theta, 5e5);
  EXPECT_EQ(fresh.ropes[0].type, "llama3");
}

TEST(RopeReaderTest, ReadsLinearScalingAndItsOldName) {
  const ModelConfig config =
      Parsed(With(ConfigOf("llama"), "rope_scaling", {{"type", "linear"}, {"factor", 2.5}}));
  EXPECT_EQ(config.ropes[0].type, "linear");
  EXPECT_EQ(config.ropes[0].factor, 2.5);
}

TEST(RopeReaderTest, Gemma3TurnsLayersWithAWindowByAThetaOfTheirOwn) {
  json old = ConfigOf("gemma3_text");
  old["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  const ModelConfig config = Parsed(old);
  ASSERT_THAT(config.ropes, SizeIs(2));
  EXPECT_EQ(config.ropes[0].theta, 1e6);
  EXPECT_EQ(config.ropes[0].type, "linear");
  EXPECT_EQ(config.ropes[1].theta, 1e4);
  EXPECT_EQ(config.ropes[1].type, "default");
  EXPECT_THAT(config.rope_of_layer, ElementsAre(1, 1, 1, 1, 1, 0));

  json fresh = ConfigOf("gemma3_text");
  fresh["rope_parameters"] = {{"full_attention", {{"rope_type", "default"}, {"rope_theta", 5e5}}},
                              {"sliding_attention", {{"rope_theta", 3e3}}}};
  EXPECT_EQ(Parsed(fresh).ropes[0].theta, 5e5);
  EXPECT_EQ(Parsed(fresh).ropes[1].theta, 3e3);
  EXPECT_THAT(ErrorOf(With(fresh, "rope_scaling", old["rope_scaling"])),
              HasSubstr("supported: null beside rope_parameters"));
  fresh["rope_parameters"] = {{"rope_theta", 3e3}};
  EXPECT_THAT(ErrorOf(fresh), HasSubstr("rope_parameters is"));
}

TEST(RopeReaderTest, Phi3ReadsALongRopeAndTurnsAPartOfEachHead) {
  json config = ConfigOf("phi3");  // heads of 16, of which 12 turn
  config["partial_rotary_factor"] = 0.75;
  config["max_position_embeddings"] = 131072;
  config["original_max_position_embeddings"] = 4096;
  config["rope_scaling"] = {
      {"type", "su"}, {"short_factor", {1, 1, 1, 1, 1, 1}}, {"long_factor", {1, 2, 3, 4, 5, 6.5}}};
  const RopeConfig rope = Parsed(config).ropes[0];
  EXPECT_EQ(rope.type, "longrope");
  EXPECT_EQ(rope.rotary_dim, 12);
  EXPECT_EQ(rope.long_factors.back(), 6.5);
  EXPECT_EQ(rope.original_positions, 4096);
  EXPECT_DOUBLE_EQ(rope.attention_factor, std::sqrt(1 + std::log(32) / std::log(4096)));
  EXPECT_THAT(ErrorOf(With(config, "original_max_position_embeddings", 1)),
              HasSubstr("original_max_position_embeddings is 1.0; supported: a number from 2"));
  config["rope_scaling"]["long_factor"] = {1, 2};
  EXPECT_THAT(ErrorOf(config), HasSubstr("rope_scaling.long_factor is a list of 2; supported: a "
                                         "list of 6 numbers above 0"));
  EXPECT_THAT(ErrorOf(With(ConfigOf("phi3"), "partial_rotary_factor", 0.2)),
              HasSubstr("partial_rotary_factor 0.2 turns 3 elements of each head"));
}

TEST(RopeReaderTest, RefusesWhatItDoesNotKnowOrCannotUse) {
  const json good = ConfigOf("llama");
  EXPECT_THAT(ErrorOf(With(good, "rope_parameters", {{"rope_type", "yarn"}})),
              HasSubstr("rope_parameters.rope_type is \"yarn\"; supported: default, linear, "
                        "llama3, longrope"));
  EXPECT_THAT(ErrorOf(With(good, "rope_scaling", {{"type", "dynamic"}, {"factor", 2}})),
              HasSubstr("rope_scaling.type is \"dynamic\""));
  EXPECT_THAT(ErrorOf(With(good, "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8}})),
              HasSubstr("rope_scaling.low_freq_factor is missing"));
  EXPECT_THAT(ErrorOf(With(good, "rope_scaling", With(kLlama3, "high_freq_factor", 1))),
              HasSubstr("rope_scaling.high_freq_factor is 1; supported: a number above"));
  EXPECT_THAT(ErrorOf(With(good, "rope_scaling", 3)), HasSubstr("rope_scaling is 3"));
  EXPECT_THAT(ErrorOf(With(good, "rope_parameters", {{"partial_rotary_factor", 0.5}})),
              HasSubstr("rope_parameters.partial_rotary_factor is 0.5"));
  EXPECT_THAT(ErrorOf(With(good, "rope_parameters", {{"full_attention", json::object()}})),
              HasSubstr("rope_parameters is"));
}

}  // namespace
}  // namespace dropbp::hf
