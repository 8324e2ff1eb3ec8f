// Added tokens: strings that are cut out of a text before anything else looks at it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

struct AddedToken {
  TokenId id = -1;
  std::string content;
  std::string pattern;       // what is looked for: the content, normalised if `normalized`
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // looked for after normalisation, in its normalised form
  bool special = false;      // left out by Decode(ids, skip_special)
};

// A part of a text: an added token, or what stands between (id -1).
struct Segment {
  TokenId id;
  size_t begin;
  size_t end;
};

// Finds tokens in texts, leftmost first and of those the longest. Walks a trie from every position
// where a token may begin, so a text takes at most its size times the longest token's. Immutable;
// safe to share among threads.
class AddedTokenMatcher {
 public:
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  // The whole text in parts, none of them empty.
  std::vector<Segment> Split(std::string_view text) const;

 private:
  // Index of the longest token that begins at `position`; -1 if there is none.
  int LongestAt(std::string_view text, size_t position) const;

  std::vector<AddedToken> tokens_;
  absl::flat_hash_map<uint64_t, int> children_;  // node << 8 | byte -> node; the root is node 0
  std::vector<int> token_of_node_;               // -1: no token ends there
  bool may_begin_[256] = {};
};

}  // namespace dropbp::data
