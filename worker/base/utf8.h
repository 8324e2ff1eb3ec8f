// Text that others wrote, made fit for protobuf's string fields.
#pragma once

#include <string>
#include <string_view>

namespace dropbp {

// The text with each byte that is not part of valid UTF-8 replaced by U+FFFD. Protobuf refuses a
// whole message for one bad byte in a string field.
std::string ToValidUtf8(std::string_view text);

}  // namespace dropbp
