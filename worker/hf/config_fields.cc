#include "worker/hf/config_fields.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/hf/json.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

bool InRange(const json& value, int64_t min, int64_t max) {
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return false;
  }
  return value.get<int64_t>() >= min && value.get<int64_t>() <= max;
}

bool IsPositive(const json& value) { return value.is_number() && value.get<double>() > 0; }

}  // namespace

const json* ConfigFields::Find(const char* name) const {
  const auto field = object_.find(name);
  return field == object_.end() || field->is_null() ? nullptr : &*field;
}

int64_t ConfigFields::Int(const char* name, int64_t fallback, int64_t min, int64_t max) {
  const json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_number_integer() && InRange(*value, min, max)) return value->get<int64_t>();
  Fail(name, *value, absl::StrCat("a whole number from ", min, " to ", max));
  return fallback;
}

int64_t ConfigFields::NeededInt(const char* name, int64_t max) {
  if (Find(name) == nullptr) Fail(absl::StrCat(path_, name, " is missing"));
  return Int(name, 1, 1, max);
}

double ConfigFields::Positive(const char* name, double fallback) {
  const json* value = Find(name);
  if (value == nullptr) return fallback;
  if (IsPositive(*value)) return value->get<double>();
  Fail(name, *value, "a number above 0");
  return fallback;
}

double ConfigFields::NeededPositive(const char* name) {
  if (Find(name) == nullptr) Fail(absl::StrCat(path_, name, " is missing"));
  return Positive(name, 1);
}

bool ConfigFields::Bool(const char* name, bool fallback) {
  const json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  Fail(name, *value, "true or false");
  return fallback;
}

std::string ConfigFields::Text(const char* name, std::string fallback) {
  const json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_string()) return value->get<std::string>();
  Fail(name, *value, "a string");
  return fallback;
}

std::vector<double> ConfigFields::Positives(const char* name, size_t count) {
  const json* value = Find(name);
  if (value == nullptr) return {};
  if (value->is_array() && value->size() == count &&
      std::all_of(value->begin(), value->end(), IsPositive)) {
    return value->get<std::vector<double>>();
  }
  Fail(name, *value, absl::StrCat("a list of ", count, " numbers above 0"));
  return {};
}

void ConfigFields::Only(const char* name, const json& supported) {
  const json* value = Find(name);
  if (value != nullptr && *value != supported) Fail(name, *value, supported.dump());
}

void ConfigFields::Absent(const char* name, const std::string& supported) {
  if (const json* value = Find(name)) Fail(name, *value, supported);
}

void ConfigFields::Fail(std::string what) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(std::move(what));
}

void ConfigFields::Fail(const std::string& name, const json& found, const std::string& supported) {
  Fail(absl::StrCat(path_, name, " is ", DescribeJson(found), "; supported: ", supported));
}

void ConfigFields::FailAs(const absl::Status& inner) {
  if (status_.ok()) status_ = inner;
}

}  // namespace dropbp::hf
