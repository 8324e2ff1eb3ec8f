// Values of the field table from and to text, as job files, --set and docs hold them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/job/job_fields.h"

namespace dropbp {

// Sets `field` from one piece of text (a list: its only element) if the text is of the field's type
// and legal by the table. Returns the violation and leaves the spec as it was if not. Fields of
// key-value pairs take no single text.
std::optional<FieldViolation> SetFromText(const JobField& field, std::string_view text,
                                          JobSpec& spec);

// The same for a list field, from its elements; for other fields a violation.
std::optional<FieldViolation> SetFromList(const JobField& field,
                                          const std::vector<std::string>& elements, JobSpec& spec);

// Sets one entry of a field of key-value pairs; for other fields a violation.
std::optional<FieldViolation> SetEntry(const JobField& field, std::string_view key,
                                       std::string_view text, JobSpec& spec);

// Shortest decimal text that reads back as the same number: "0.0002", "10000000", "1e-08".
std::string FormatNumber(double value);

// The field's value in `spec` as text: words joined by ", ", pairs as "key=value"; empty text and
// lists give "".
std::string FormatField(const JobField& field, const JobSpec& spec);

// Whether the field is a list, or key-value pairs.
bool IsList(const JobField& field);
bool IsPairs(const JobField& field);

}  // namespace dropbp
