#include "core/job/job_values.h"

#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"

namespace dropbp {
namespace {

using Words = std::vector<std::string>;
using Pairs = std::map<std::string, std::string>;
using Numbers = std::map<std::string, double>;

// Reads the whole text as a number; no spaces, no sign '+', no "nan" or "inf".
template <typename T>
bool ParseNumber(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool Assign(std::string_view text, std::string& value) {
  value = std::string(text);
  return ToValidUtf8(text) == text;
}
bool Assign(std::string_view text, int64_t& value) { return ParseNumber(text, value); }
bool Assign(std::string_view text, double& value) { return ParseNumber(text, value); }
bool Assign(std::string_view text, bool& value) {
  value = text == "true";
  return value || text == "false";
}
bool Assign(std::string_view text, Words& value) {
  value = {std::string(text)};
  return ToValidUtf8(text) == text;
}
bool Assign(std::string_view, Pairs&) { return false; }
bool Assign(std::string_view, Numbers&) { return false; }

std::string Format(const std::string& value) { return value; }
std::string Format(int64_t value) { return absl::StrCat(value); }
std::string Format(double value) { return FormatNumber(value); }
std::string Format(bool value) { return value ? "true" : "false"; }
std::string Format(const Words& value) { return absl::StrJoin(value, ", "); }
std::string Format(const Pairs& value) {
  return absl::StrJoin(value, ", ", absl::PairFormatter("="));
}
std::string Format(const Numbers& value) {
  return absl::StrJoin(value, ", ", [](std::string* out, const auto& entry) {
    absl::StrAppend(out, entry.first, "=", FormatNumber(entry.second));
  });
}

FieldViolation WrongValue(const JobField& field, std::string_view found) {
  return {std::string(field.path),
          absl::StrCat("found ", AbslView(found), ", legal is ", LegalValues(field))};
}

// Takes `changed` into `spec` if the field is legal by the table.
std::optional<FieldViolation> Keep(const JobField& field, JobSpec changed, JobSpec& spec) {
  if (auto violation = CheckJobField(field, changed)) return violation;
  spec = std::move(changed);
  return std::nullopt;
}

}  // namespace

std::optional<FieldViolation> SetFromText(const JobField& field, std::string_view text,
                                          JobSpec& spec) {
  JobSpec changed = spec;
  const bool fits =
      std::visit([&](auto access) { return Assign(text, access(changed)); }, field.access);
  if (!fits) {
    return WrongValue(field, absl::StrCat("\"", Excerpt(text), "\""));
  }
  return Keep(field, std::move(changed), spec);
}

std::optional<FieldViolation> SetFromList(const JobField& field,
                                          const std::vector<std::string>& elements, JobSpec& spec) {
  const auto* access = std::get_if<Words& (*)(JobSpec&)>(&field.access);
  if (access == nullptr) return WrongValue(field, "a list");
  JobSpec changed = spec;
  (*access)(changed) = elements;
  return Keep(field, std::move(changed), spec);
}

std::optional<FieldViolation> SetEntry(const JobField& field, std::string_view key,
                                       std::string_view text, JobSpec& spec) {
  JobSpec changed = spec;
  const std::string name = ToValidUtf8(key);
  bool fits = false;
  if (const auto* pairs = std::get_if<Pairs& (*)(JobSpec&)>(&field.access)) {
    fits = true;
    (*pairs)(changed)[name] = ToValidUtf8(text);
  } else if (const auto* numbers = std::get_if<Numbers& (*)(JobSpec&)>(&field.access)) {
    fits = ParseNumber(text, (*numbers)(changed)[name]);
  }
  if (!fits) {
    return WrongValue(field, absl::StrCat("\"", Excerpt(text), "\""));
  }
  return Keep(field, std::move(changed), spec);
}

std::string FormatNumber(double value) {
  const double size = std::fabs(value);
  const bool plain = value == 0 || (size >= 1e-4 && size < 1e16);
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value,
                                 plain ? std::chars_format::fixed : std::chars_format::general);
  return std::string(text, end.ptr);
}

std::string FormatField(const JobField& field, const JobSpec& spec) {
  JobSpec copy = spec;
  return std::visit([&](auto access) { return Format(access(copy)); }, field.access);
}

bool IsList(const JobField& field) {
  return std::holds_alternative<Words& (*)(JobSpec&)>(field.access);
}

bool IsPairs(const JobField& field) {
  return std::holds_alternative<Pairs& (*)(JobSpec&)>(field.access) ||
         std::holds_alternative<Numbers& (*)(JobSpec&)>(field.access);
}

}  // namespace dropbp
