#include "worker/data/utf8.h"

#include <cstdint>
#include <cstring>

namespace dropbp::data {
namespace {

constexpr uint64_t kHighBits = 0x8080808080808080ull;

bool IsContinuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// The second byte's legal range keeps out overlong forms, surrogates and what lies above U+10FFFF.
bool IsLegalSecond(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xe0:
      return second >= 0xa0 && second <= 0xbf;
    case 0xed:
      return second >= 0x80 && second <= 0x9f;
    case 0xf0:
      return second >= 0x90 && second <= 0xbf;
    case 0xf4:
      return second >= 0x80 && second <= 0x8f;
    default:
      return IsContinuation(second);
  }
}

// Bytes from `position` that are a whole character, or the longest beginning of one (`whole` says
// which); at least 1.
size_t LongestBeginning(std::string_view text, size_t position, bool& whole) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  const unsigned char lead = byte(0);
  const size_t expected = CharacterBytes(lead);
  whole = lead < 0x80;
  if (expected == 1) return 1;
  const size_t available = text.size() - position;
  if (available < 2 || !IsLegalSecond(lead, byte(1))) return 1;
  size_t length = 2;
  while (length < expected && length < available && IsContinuation(byte(length))) ++length;
  whole = length == expected;
  return length;
}

// First position from `position` on that is not ASCII.
size_t SkipAscii(std::string_view text, size_t position) {
  while (position + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + position, 8);
    if ((word & kHighBits) != 0) break;
    position += 8;
  }
  while (position < text.size() && static_cast<unsigned char>(text[position]) < 0x80) ++position;
  return position;
}

}  // namespace

size_t CharacterBytes(unsigned char lead) {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 1;
}

size_t ValidUtf8Prefix(std::string_view text) {
  size_t position = SkipAscii(text, 0);
  while (position < text.size()) {
    bool whole;
    const size_t length = LongestBeginning(text, position, whole);
    if (!whole) return position;
    position = SkipAscii(text, position + length);
  }
  return position;
}

char32_t NextCodePoint(std::string_view text, size_t& position) {
  const unsigned char lead = text[position++];
  if (lead < 0x80) return lead;
  const size_t length = CharacterBytes(lead);
  char32_t code_point = lead & (0xff >> (length + 1));
  for (size_t i = 1; i < length && position < text.size(); ++i) {
    code_point = code_point << 6 | (static_cast<unsigned char>(text[position++]) & 0x3f);
  }
  return code_point;
}

void AppendUtf8(char32_t code_point, std::string& text) {
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
    return;
  }
  const int tail = code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
  constexpr unsigned char kLead[] = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(kLead[tail] | code_point >> (6 * tail));
  for (int i = tail - 1; i >= 0; --i)
    text += static_cast<char>(0x80 | (code_point >> (6 * i) & 0x3f));
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    bool whole;
    const size_t length = LongestBeginning(text, position, whole);
    if (whole) {
      result.append(text, position, length);
    } else {
      result += "\uFFFD";
    }
    position += length;
  }
  return result;
}

}  // namespace dropbp::data
