// What short words were encoded to a moment ago.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "absl/hash/hash.h"
#include "core/base/text.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// A table of fixed size in which a word takes the place of another one with the same hash. Words
// and their tokens stand in the table itself: looking one up costs a cache line or two, where the
// vocabulary costs several. Of one thread, for all models that it encodes with; each entry says
// whose it is.
class WordMemo {
 public:
  static constexpr size_t kMaxBytes = 24;
  static constexpr size_t kMaxTokens = 6;

  struct Entry {
    uint64_t owner = 0;  // number of the model; 0: the entry is empty
    char word[kMaxBytes];
    TokenId ids[kMaxTokens];
    uint8_t ends[kMaxTokens];  // in the word
    uint8_t bytes;
    uint8_t tokens;

    bool Holds(uint64_t model, std::string_view text) const {
      return owner == model && bytes == text.size() &&
             std::memcmp(word, text.data(), text.size()) == 0;
    }
  };

  WordMemo() : entries_(std::make_unique<Entry[]>(kEntries)) {}

  // The place of a word of at most kMaxBytes.
  Entry& Place(std::string_view word) {
    return entries_[absl::Hash<absl::string_view>()(AbslView(word)) % kEntries];
  }

 private:
  static constexpr size_t kEntries = 8192;
  std::unique_ptr<Entry[]> entries_;
};

}  // namespace dropbp::data
