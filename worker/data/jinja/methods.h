// Methods of strings and dicts.
#pragma once

#include <string>

#include "core/base/status.h"
#include "worker/data/jinja/arguments.h"
#include "worker/data/jinja/budget.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

// object.name(arguments). INVALID_ARGUMENT for a method that is not supported or wrong arguments.
absl::StatusOr<Value> CallMethod(const Value& object, const std::string& name,
                                 const Arguments& arguments, Budget& budget);

// Text with its letters changed: "upper", "lower", "title" or "capitalize". Letters map one to one
// (a German sharp s stays what it is).
std::string ChangeCase(const std::string& text, const std::string& how);

// Python's str.replace; count < 0 replaces all.
absl::StatusOr<Value> Replace(const std::string& text, const std::string& from,
                              const std::string& to, int64_t count, Budget& budget);

}  // namespace dropbp::data::jinja
