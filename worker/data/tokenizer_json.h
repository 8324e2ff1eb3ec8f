// tokenizer.json taken apart: every component either becomes a part here or is an error that names
// it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/status.h"
#include "worker/data/added_tokens.h"
#include "worker/data/bpe.h"
#include "worker/data/components_json.h"

namespace dropbp::data {

struct TokenizerParts {
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeParts bpe;                                          // model
  absl::flat_hash_map<std::string, TokenId> vocabulary;  // model: tokens as they are written
  std::vector<AddedToken> added;                         // added_tokens, in the order of the file
  AddedAround around;                                    // post_processor
  TokenDecoder decoder;
};

// Parses the text of a tokenizer.json. INVALID_ARGUMENT names the component or token, what was
// found and what is supported. Components without influence on ids (truncation and padding, which
// callers do themselves) are not read.
absl::StatusOr<TokenizerParts> ParseTokenizerJson(std::string_view text);

// The tokenizer that these parts make.
std::unique_ptr<const Tokenizer> MakeTokenizer(TokenizerParts parts);

}  // namespace dropbp::data
