// Byte-pair encoding of single words, which begin as bytes (byte-level models) or as characters
// (SentencePiece models).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "worker/data/safe_cuts.h"
#include "worker/data/tokenizer.h"
#include "worker/data/word_memo.h"

namespace dropbp::data {

// What a BPE model is made of.
struct BpeParts {
  // Tokens by the bytes they stand for. Tokens that stand for no bytes cannot come out of text and
  // are left out.
  absl::flat_hash_map<std::string, TokenId> vocabulary;
  // Pairs of ids and what each becomes. The pair of lowest rank is merged first; ranks may be
  // equal.
  struct Merge {
    TokenId left;
    TokenId right;
    TokenId result;
    int32_t rank;
  };
  std::vector<Merge> merges;
  bool characters = false;  // words begin as their characters instead of their bytes
  // With `characters`: the tokens <0x00> to <0xFF>, which stand for the bytes of a character that
  // has no token. Empty: none.
  std::vector<TokenId> byte_fallback;
  // Stands for bytes or characters that have no token; -1: they are left out.
  TokenId unknown = -1;
  bool fuse_unknown = false;  // one unknown token for a run of them
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

  void ReadCharacters();
  void ReadCuts();

  Rule FindRule(TokenId left, TokenId right) const;
  void EncodePiece(std::string_view word, size_t offset, Output output) const;
  void EncodeAnew(std::string_view word, size_t offset, Output output) const;
  void Keep(std::string_view word, absl::Span<const TokenId> ids, absl::Span<const size_t> ends,
            WordMemo::Entry& entry) const;
  void Merge(std::string_view word, std::vector<Symbol>& symbols) const;
  void Symbols(std::string_view word, std::vector<Symbol>& symbols) const;
  void CharacterSymbols(std::string_view word, std::vector<Symbol>& symbols) const;
  TokenId CharacterToken(char32_t character) const;
  void AddUnknown(uint32_t end, bool& previous_unknown, std::vector<Symbol>& symbols) const;
  void MergeShort(std::vector<Symbol>& symbols) const;
  void MergeLong(std::vector<Symbol>& symbols) const;
  bool IsItsOwnEncoding(std::string_view word, TokenId id) const;

  const BpeParts parts_;
  const uint64_t number_;                      // of this model among all, for the memo of words
  absl::flat_hash_map<uint64_t, Rule> rules_;  // by left << 32 | right
  TokenId byte_ids_[256];                      // in a model of characters: of ASCII characters
  absl::flat_hash_map<char32_t, TokenId> character_ids_;  // with `characters`, beyond ASCII
  std::optional<SafeCuts> cuts_;                          // nothing: words are encoded as they are
  // By id: whether the token's bytes encode to the token itself. 0 not known yet, 1 yes, 2 no.
  std::unique_ptr<std::atomic<uint8_t>[]> own_encoding_;
};

}  // namespace dropbp::data
