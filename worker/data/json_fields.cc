#include "worker/data/json_fields.h"

#include "absl/strings/str_cat.h"
#include "worker/hf/json.h"

namespace dropbp::data {

using nlohmann::json;

const json* FindField(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto field = object.find(name);
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

std::string TypeOf(const json& component) {
  const json* type = FindField(component, "type");
  return type != nullptr && type->is_string() ? type->get<std::string>() : "";
}

bool IsTokenId(const json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(kMaxTokenId);
}

absl::Status Unsupported(const std::string& where, const json& component,
                         const std::string& supported) {
  const std::string type = TypeOf(component);
  return absl::InvalidArgumentError(
      absl::StrCat(where, " ", type.empty() ? "without a type" : hf::QuoteForError(type),
                   " is not supported; supported: ", supported));
}

absl::Status RequireValue(const json& component, const std::string& where, const char* name,
                          const json& value) {
  const json* found = FindField(component, name);
  if (found == nullptr || *found == value) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      where, ": ", name, " is ", hf::DescribeJson(*found), "; supported: ", value.dump()));
}

absl::StatusOr<bool> BoolField(const json& component, const std::string& where, const char* name,
                               bool fallback) {
  const json* found = FindField(component, name);
  if (found == nullptr) return fallback;
  if (found->is_boolean()) return found->get<bool>();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": ", name, " is ", hf::DescribeJson(*found), "; legal: true, false"));
}

}  // namespace dropbp::data
