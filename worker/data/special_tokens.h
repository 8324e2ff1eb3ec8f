// Tokens that a model's files give a role.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// <model_dir>/tokenizer_config.json (at most 4 MiB); an empty object if the model has none.
absl::StatusOr<nlohmann::json> ReadTokenizerConfig(const std::string& model_dir);

// bos_token, eos_token and their like by these names, where tokenizer_config.json gives them.
std::map<std::string, std::string> SpecialTokens(const nlohmann::json& tokenizer_config);

// Text of the token that ends a text: eos_token of tokenizer_config.json, else the first end token
// of config.json. FAILED_PRECONDITION if neither names a token of the vocabulary.
absl::StatusOr<std::string> EndTokenText(const std::string& model_dir, const Tokenizer& tokenizer);

}  // namespace dropbp::data
