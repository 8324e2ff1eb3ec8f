#include "core/job/job_values.h"

#include <charconv>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace dropbp {
namespace {

using Words = std::vector<std::string>;
using Pairs = std::map<std::string, std::string>;

constexpr size_t kShownBytes = 60;

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
bool Assign(std::string_view text, Words& value) {
  value = {std::string(text)};
  return ToValidUtf8(text) == text;
}
bool Assign(std::string_view, Pairs&) { return false; }

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
    return WrongValue(field, absl::StrCat("\"", Shortened(ToValidUtf8(text), kShownBytes), "\""));
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

bool IsList(const JobField& field) {
  return std::holds_alternative<Words& (*)(JobSpec&)>(field.access);
}

bool IsPairs(const JobField& field) {
  return std::holds_alternative<Pairs& (*)(JobSpec&)>(field.access);
}

}  // namespace dropbp
