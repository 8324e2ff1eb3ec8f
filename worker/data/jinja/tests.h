// Jinja's tests: what stands after `is`.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/budget.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

// Whether a test of this name is supported.
bool IsTest(const std::string& name);

// `value is name(arguments)`. INVALID_ARGUMENT for wrong arguments.
absl::StatusOr<bool> RunTest(const std::string& name, const Value& value,
                             const std::vector<Value>& arguments, Budget& budget);

}  // namespace dropbp::data::jinja
