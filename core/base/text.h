// Text that came from outside, made fit for messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace dropbp {

// Debian's Abseil has a string_view of its own, which does not convert from the standard one.
inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view StdView(absl::string_view text) { return {text.data(), text.size()}; }

// The same text with every byte that is no part of valid UTF-8 replaced by '?'. Protocol Buffers
// refuse other strings.
std::string ToValidUtf8(std::string_view text);

// Valid UTF-8 as it is if it has at most `max_bytes` bytes; else its beginning, cut between
// characters, and "...".
std::string Shortened(std::string_view text, size_t max_bytes);

// What somebody wrote, as error messages show it: valid UTF-8 of at most 60 bytes.
std::string Excerpt(std::string_view text);

}  // namespace dropbp
