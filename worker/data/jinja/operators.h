// Operators on values, as Python defines them.
#pragma once

#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/ast.h"
#include "worker/data/jinja/budget.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

// + - * / // % ** ~. INVALID_ARGUMENT for kinds that do not go together, division by 0, and results
// beyond 64 bits.
absl::StatusOr<Value> ApplyBinary(Operator op, const Value& left, const Value& right,
                                  Budget& budget);
absl::StatusOr<bool> ApplyComparison(Operator op, const Value& left, const Value& right,
                                     Budget& budget);
absl::StatusOr<Value> Negate(const Value& value);

// object.name and object[key]: undefined if it is not there; an error if the object itself is
// undefined.
absl::StatusOr<Value> GetAttribute(const Value& object, const std::string& name);
absl::StatusOr<Value> GetItem(const Value& object, const Value& key, Budget& budget);

// object[start:stop:step] of a string or list; an undefined bound was not written.
absl::StatusOr<Value> GetSlice(const Value& object, const Value& start, const Value& stop,
                               const Value& step, Budget& budget);

// What a loop runs over: the items of a list, the keys of a dict, the characters of a string;
// nothing for undefined.
absl::StatusOr<std::vector<Value>> Iterate(const Value& value, Budget& budget);

}  // namespace dropbp::data::jinja
