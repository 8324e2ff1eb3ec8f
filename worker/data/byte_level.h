// The alphabet of byte-level BPE: each byte is written as one printable character. Bytes ! to ~,
// U+00A1 to U+00AC and U+00AE to U+00FF stand for themselves, the others for U+0100 + n in their
// order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dropbp::data {

// The character that stands for a byte, in UTF-8.
std::string ByteToCharacter(unsigned char byte);

// The bytes that a token of the vocabulary stands for; nothing if one of its characters is not of
// the alphabet.
std::optional<std::string> TokenToBytes(std::string_view token);

}  // namespace dropbp::data
