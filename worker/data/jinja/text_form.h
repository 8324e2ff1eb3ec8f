// Values as text: Python's str() and repr(), and json.dumps().
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

// What {{ value }} prints. Undefined prints nothing.
std::string ToText(const Value& value);

// json.dumps(value, ensure_ascii=False, indent=indent); indent < 0 stands for None.
// INVALID_ARGUMENT for a value that JSON has no form for.
absl::StatusOr<std::string> ToJson(const Value& value, int indent);

// Strings count in code points.
int64_t CodePointCount(std::string_view text);
// Bytes of the first `count` code points of `text`.
size_t BytesOfCodePoints(std::string_view text, int64_t count);

// Python's str.isspace() of one code point.
bool IsPythonSpace(char32_t code_point);
// Text without the characters at its ends that are in `characters`; white space if that is nullptr.
std::string_view StripLeft(std::string_view text, const std::string* characters);
std::string_view StripRight(std::string_view text, const std::string* characters);

}  // namespace dropbp::data::jinja
