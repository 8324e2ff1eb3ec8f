#include "worker/data/safe_cuts.h"

#include "worker/data/utf8.h"

namespace dropbp::data {

size_t SafeCuts::EndOfPiece(std::string_view text, size_t begin) const {
  char32_t left = NextCodePoint(text, begin);
  while (begin < text.size()) {
    size_t next = begin;
    const char32_t right = NextCodePoint(text, next);
    const uint32_t bit = Hash(left, right);
    if ((joined_[bit / 64] >> bit % 64 & 1) == 0) return begin;
    left = right;
    begin = next;
  }
  return text.size();
}

}  // namespace dropbp::data
