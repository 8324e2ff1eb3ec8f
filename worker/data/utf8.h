// UTF-8: checks, decoding, and the replacement of what is not.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dropbp::data {

// Offset of the first byte that begins no valid character; text.size() if all is valid. Surrogates,
// overlong forms and code points above U+10FFFF are not valid.
size_t ValidUtf8Prefix(std::string_view text);

// Bytes of the character that `lead` begins; 1 for a byte that begins none.
size_t CharacterBytes(unsigned char lead);

// The code point at `position` of valid text; advances `position` past it.
char32_t NextCodePoint(std::string_view text, size_t& position);

void AppendUtf8(char32_t code_point, std::string& text);

// The text with U+FFFD for every longest beginning of a character that breaks off, as the Unicode
// Standard recommends.
std::string ReplaceInvalidUtf8(std::string_view text);

}  // namespace dropbp::data
