// JSON as a value of a template.
#pragma once

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

// What Python's json.loads makes of the same text; keys keep their order. INVALID_ARGUMENT for a
// whole number that does not fit 64 bits.
absl::StatusOr<Value> FromJson(const nlohmann::ordered_json& json);

}  // namespace dropbp::data::jinja
