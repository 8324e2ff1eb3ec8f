// Jinja's filters: what stands after |.
#pragma once

#include <string>

#include "core/base/status.h"
#include "worker/data/jinja/arguments.h"
#include "worker/data/jinja/budget.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

// Whether a filter of this name is supported.
bool IsFilter(const std::string& name);

// input | name(arguments). INVALID_ARGUMENT for an input or arguments that the filter does not
// take.
absl::StatusOr<Value> RunFilter(const std::string& name, const Value& input,
                                const Arguments& arguments, Budget& budget);

}  // namespace dropbp::data::jinja
