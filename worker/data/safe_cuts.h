// Where a text without words can be cut before byte-pair encoding, so that its tokens stay the
// same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace dropbp::data {

// Note [Safe cuts]
// SentencePiece models have no words: merges run over the whole text, which is slow. A merge joins
// two neighbouring tokens, so it can reach across the border between the characters a and b only if
// some merge has a left token that ends in a and a right token that begins with b. Where none has,
// the text is cut, and both sides are encoded by themselves. In ordinary models that is in front of
// nearly every word.
//
// The pairs are kept as a set of hashes: a pair that is taken for another one costs a cut, never a
// token. Immutable once built; safe to share among threads.
class SafeCuts {
 public:
  SafeCuts() : joined_(kBits / 64) {}

  // A merge has a left token that ends in `left` and a right one that begins with `right`.
  void Join(char32_t left, char32_t right) {
    const uint32_t bit = Hash(left, right);
    joined_[bit / 64] |= uint64_t{1} << bit % 64;
  }

  // End of the piece of valid UTF-8 that begins at `begin` < text.size().
  size_t EndOfPiece(std::string_view text, size_t begin) const;

 private:
  static constexpr uint32_t kBits = 1 << 20;

  static uint32_t Hash(char32_t left, char32_t right) {
    return (left * 0x9e3779b1u ^ right * 0x85ebca77u) >> 12;
  }

  std::vector<uint64_t> joined_;
};

}  // namespace dropbp::data
