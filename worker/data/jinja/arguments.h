// Arguments of a call, filter or method.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // The argument at a position or under its name; nullptr if it was not given.
  const Value* Find(size_t position, std::string_view name) const;

  // INVALID_ARGUMENT if there are more than `names` or one has another name. `callee` is for the
  // message.
  absl::Status Check(std::string_view callee, std::initializer_list<std::string_view> names) const;
};

}  // namespace dropbp::data::jinja
