// JSON that others wrote, read under bounds: depth, number of values, valid UTF-8, no key twice in
// one object.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace dropbp::hf {

struct JsonLimits {
  size_t max_depth = 64;          // nested objects and arrays
  size_t max_values = 8'000'000;  // bounds memory: one value takes 16 bytes and its strings
};

// Parses one JSON text. INVALID_ARGUMENT with "line L, column C: ..." (a BOM at the start is
// skipped). The caller bounds the size of `text`.
absl::StatusOr<nlohmann::json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// The same with keys of objects in the order of the text.
absl::StatusOr<nlohmann::ordered_json> ParseOrderedJson(std::string_view text,
                                                        const JsonLimits& limits = {});

// Position and reason out of a message of the JSON library, without its prefix and cut to a
// readable length.
std::string DescribeJsonError(std::string_view library_message);

// Text of a file for an error message: escaped, quoted, at most `max_bytes` of it.
std::string QuoteForError(std::string_view text, size_t max_bytes = 80);

// What a value is, for an error message: its type, and the value itself where that is short.
std::string DescribeJson(const nlohmann::json& value);
std::string DescribeJson(const nlohmann::ordered_json& value);

}  // namespace dropbp::hf
