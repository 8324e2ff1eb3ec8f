#include "worker/data/byte_level.h"

#include <array>
#include <cstdint>

#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

constexpr int kCharacters = 0x100 + 68;  // 68 bytes do not stand for themselves.

bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<char32_t, 256> character;
  std::array<int16_t, kCharacters> byte;  // -1: no character of the alphabet
};

Alphabet BuildAlphabet() {
  Alphabet alphabet;
  alphabet.byte.fill(-1);
  char32_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t character = StandsForItself(byte) ? static_cast<char32_t>(byte) : next++;
    alphabet.character[byte] = character;
    alphabet.byte[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

const Alphabet& TheAlphabet() {
  static const Alphabet alphabet = BuildAlphabet();
  return alphabet;
}

}  // namespace

std::string ByteToCharacter(unsigned char byte) {
  std::string text;
  AppendUtf8(TheAlphabet().character[byte], text);
  return text;
}

std::optional<std::string> TokenToBytes(std::string_view token) {
  std::string bytes;
  for (size_t position = 0; position < token.size();) {
    const char32_t character = NextCodePoint(token, position);
    if (character >= kCharacters || TheAlphabet().byte[character] < 0) return std::nullopt;
    bytes += static_cast<char>(TheAlphabet().byte[character]);
  }
  return bytes;
}

}  // namespace dropbp::data
