// The decoder of tokenizer.json: from tokens as they are written to the text they stand for.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace dropbp::data {

// A chain of steps over a list of tokens; the text is what the last one leaves, joined. Without
// steps tokens are joined by spaces. Immutable once filled; safe to share among threads.
class TokenDecoder {
 public:
  // Byte-level alphabet to bytes, over all tokens at once. A token with a character outside the
  // alphabet stands for itself; bytes that are not UTF-8 become U+FFFD.
  struct ByteLevel {};
  struct Replace {
    std::string pattern;  // not empty
    std::string content;
  };
  // Runs of <0x00> to <0xFF> to the text of these bytes, or to one U+FFFD for each where they are
  // not UTF-8.
  struct ByteFallback {};
  struct Fuse {};  // all tokens become one
  // Takes at most so many `content` off both ends of every token.
  struct Strip {
    std::string content;  // one character
    size_t start = 0;
    size_t stop = 0;
  };
  // Replacement characters to spaces; with `prepended`, those of the first token to nothing.
  struct Metaspace {
    std::string replacement;
    bool prepended = true;
  };
  using Step = std::variant<ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace>;

  template <typename T>
  void Add(T step) {
    steps_.emplace_back(std::in_place_type<T>, std::move(step));
  }

  std::string Decode(std::vector<std::string> tokens) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace dropbp::data
