#include "worker/data/jinja/from_json.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace dropbp::data::jinja {

absl::StatusOr<Value> FromJson(const nlohmann::ordered_json& json) {
  if (json.is_null()) return Value(None{});
  if (json.is_boolean()) return Value(json.get<bool>());
  if (json.is_string()) return Value(json.get<std::string>());
  if (json.is_number_float()) return Value(json.get<double>());
  if (json.is_number()) {
    if (json.is_number_unsigned() && json.get<uint64_t>() > std::numeric_limits<int64_t>::max())
      return absl::InvalidArgumentError(absl::StrCat(json.dump(), " does not fit 64 bits"));
    return Value(json.get<int64_t>());
  }
  if (json.is_array()) {
    std::vector<Value> items;
    for (const auto& element : json) {
      ASSIGN_OR_RETURN(Value item, FromJson(element));
      items.push_back(std::move(item));
    }
    return Value(std::move(items));
  }
  Entries entries;
  for (const auto& [key, element] : json.items()) {
    ASSIGN_OR_RETURN(Value value, FromJson(element));
    entries.emplace_back(key, std::move(value));
  }
  return Value::MakeDict(std::move(entries));
}

}  // namespace dropbp::data::jinja
