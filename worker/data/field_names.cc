#include "worker/data/field_names.h"

#include "absl/strings/str_cat.h"
#include "worker/hf/json.h"

namespace dropbp::data {

using nlohmann::ordered_json;

std::string FieldNames::Of(const std::string& key) const {
  const auto name = names_.find(key);
  return name == names_.end() ? key : name->second;
}

const ordered_json* FieldNames::Find(const ordered_json& object, const std::string& key) const {
  const auto value = object.find(Of(key));
  return value == object.end() || value->is_null() ? nullptr : &*value;
}

absl::StatusOr<std::string> FieldNames::NeededText(const ordered_json& object,
                                                   const std::string& where,
                                                   const std::string& key) const {
  const std::string name = Of(key);
  const auto value = object.find(name);
  if (value == object.end())
    return absl::InvalidArgumentError(absl::StrCat(where, name, " is missing"));
  if (!value->is_string()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, name, " is ", hf::DescribeJson(*value), ", legal is text"));
  }
  return value->get<std::string>();
}

absl::StatusOr<std::string> FieldNames::OptionalText(const ordered_json& record,
                                                     const std::string& key) const {
  if (Find(record, key) == nullptr) return "";
  return NeededText(record, "", key);
}

}  // namespace dropbp::data
