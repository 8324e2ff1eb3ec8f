// Fields of tokenizer.json: reading and naming them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// Ids above this are refused; the largest vocabularies in use have some 300,000.
inline constexpr TokenId kMaxTokenId = (1 << 24) - 1;

// A field's value; nullptr if `object` is no object, or the field is missing or null.
const nlohmann::json* FindField(const nlohmann::json& object, const char* name);

// The component's "type"; empty if it has none.
std::string TypeOf(const nlohmann::json& component);

bool IsTokenId(const nlohmann::json& value);

// "<where> <type> is not supported; supported: ..."
absl::Status Unsupported(const std::string& where, const nlohmann::json& component,
                         const std::string& supported);

// INVALID_ARGUMENT if the field is there with another value.
absl::Status RequireValue(const nlohmann::json& component, const std::string& where,
                          const char* name, const nlohmann::json& value);

// A field that is true or false; `fallback` if it is missing.
absl::StatusOr<bool> BoolField(const nlohmann::json& component, const std::string& where,
                               const char* name, bool fallback);

}  // namespace dropbp::data
