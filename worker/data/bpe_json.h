// The "model" of tokenizer.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "core/base/status.h"
#include "worker/data/bpe.h"

namespace dropbp::data {

// Reads vocabulary, merges (strings "a b" or pairs ["a", "b"]) and flags of a BPE model.
// `vocabulary` gets the tokens as they are written, `bpe` the same, by their bytes unless
// bpe.characters, which the caller sets. INVALID_ARGUMENT
// for another model, a flag that changes ids and is not supported, or a merge whose parts or result
// are not in the vocabulary.
absl::Status ReadBpeModel(const nlohmann::json& root,
                          absl::flat_hash_map<std::string, TokenId>& vocabulary, BpeParts& bpe);

}  // namespace dropbp::data
