// Texts of config.json for every family, with what transformers' classes leave to their defaults
// left out.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "worker/hf/model_config.h"

namespace dropbp::hf {

inline nlohmann::json ConfigOf(const std::string& model_type) {
  return {{"model_type", model_type}, {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 6},   {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"head_dim", 16},           {"vocab_size", 300}};
}

inline nlohmann::json With(nlohmann::json config, const std::string& field, nlohmann::json value) {
  config[field] = std::move(value);
  return config;
}

inline ModelConfig Parsed(const nlohmann::json& config) {
  const auto parsed = ParseModelConfig(config.dump(), "m/config.json");
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.value_or(ModelConfig());
}

// The error of a config.json that must be refused, which names the file.
inline std::string ErrorOf(const nlohmann::json& config) {
  const auto parsed = ParseModelConfig(config.dump(), "m/config.json");
  EXPECT_FALSE(parsed.ok()) << config;
  const std::string message(parsed.status().message());
  EXPECT_NE(message.find("m/config.json: "), std::string::npos) << message;
  return message;
}

}  // namespace dropbp::hf
