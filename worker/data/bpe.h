// Byte-pair encoding of single words over a vocabulary of byte strings.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// What a BPE model is made of.
struct BpeParts {
  // Tokens by the bytes they stand for. Tokens that stand for no bytes cannot come out of text and
  // are left out.
  absl::flat_hash_map<std::string, TokenId> vocabulary;
  // Pairs of ids in the order of their ranks, and what each becomes.
  struct Merge {
    TokenId left;
    TokenId right;
    TokenId result;
  };
  std::vector<Merge> merges;
  TokenId unknown = -1;       // stands for bytes that have no token; -1: they are left out
  bool fuse_unknown = false;  // one unknown token for a run of such bytes
  bool ignore_merges =
      false;  // a word that is a token as a whole is that token, whatever the merges say
};

// Immutable but for a memo of words that a thread may fill at any time; safe to share among
// threads.
class Bpe {
 public:
  explicit Bpe(BpeParts parts);

  // Where the ids of a word go; a token's end counts from the beginning of the word.
  struct Output {
    std::vector<TokenId>& ids;
    std::vector<size_t>* ends;  // may be null
  };

  // Appends the tokens of a word. Merges the pair of lowest rank, the leftmost of equals, until
  // none is left. O(n log n) for long words.
  void Encode(std::string_view word, size_t offset, Output output) const;

 private:
  struct Rule {
    int32_t rank;
    TokenId result;
  };
  struct Symbol {
    TokenId id;
    uint32_t end;  // in the word, exclusive
  };
  static constexpr Rule kNoRule = {INT32_MAX, -1};

  Rule FindRule(TokenId left, TokenId right) const;
  void Symbols(std::string_view word, std::vector<Symbol>& symbols) const;
  void MergeShort(std::vector<Symbol>& symbols) const;
  void MergeLong(std::vector<Symbol>& symbols) const;
  bool IsItsOwnEncoding(std::string_view word, TokenId id) const;

  const BpeParts parts_;
  absl::flat_hash_map<uint64_t, Rule> rules_;  // by left << 32 | right
  TokenId byte_ids_[256];
  // By id: whether the token's bytes encode to the token itself. 0 not known yet, 1 yes, 2 no.
  std::unique_ptr<std::atomic<uint8_t>[]> own_encoding_;
};

}  // namespace dropbp::data
