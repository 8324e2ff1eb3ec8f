#include "worker/data/jinja/arguments.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace dropbp::data::jinja {

const Value* Arguments::Find(size_t position, std::string_view name) const {
  if (position < positional.size()) return &positional[position];
  for (const auto& argument : named) {
    if (argument.first == name) return &argument.second;
  }
  return nullptr;
}

absl::Status Arguments::Check(std::string_view callee,
                              std::initializer_list<std::string_view> names) const {
  if (positional.size() > names.size()) {
    return absl::InvalidArgumentError(absl::StrCat(AbslView(callee), " takes at most ",
                                                   names.size(), " arguments, found ",
                                                   positional.size()));
  }
  for (const auto& argument : named) {
    if (std::find(names.begin(), names.end(), argument.first) == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(AbslView(callee), ": the argument '", argument.first, "' is not supported"));
    }
  }
  return absl::OkStatus();
}

}  // namespace dropbp::data::jinja
