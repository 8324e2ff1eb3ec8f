// The one table of a job's fields: path, type, range, default and meaning. It drives validation, the YAML job file,
// the conversion to and from the wire format, --set on the command line, and docs/job-file.md.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "core/job/job_spec.h"

namespace dropbp {

// One field of JobSpec. `path` is dotted, for example "training.learning_rate", and the same in YAML, proto and errors.
struct JobField {
  using Accessor = std::variant<std::string& (*)(JobSpec&), int64_t& (*)(JobSpec&), double& (*)(JobSpec&),
                                std::vector<std::string>& (*)(JobSpec&),
                                std::map<std::string, std::string>& (*)(JobSpec&)>;
  std::string_view path;
  Accessor access;
  std::string_view meaning;
  // Numbers: the closed range [min, max]; `below_max` makes it half open.
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool below_max = false;
  // Strings: the legal words; empty if free.
  std::vector<std::string_view> choices = {};
};

// All fields, in the order of the documentation.
absl::Span<const JobField> JobFields();

// The field at a path; nullptr if there is none.
const JobField* FindJobField(std::string_view path);

// The known path or key nearest to `unknown` by edit distance; empty if nothing is near.
std::string NearestJobField(std::string_view unknown);

// One broken rule: which field, and a sentence that says what was found and what is legal.
struct FieldViolation {
  std::string field;
  std::string description;
};

// Every rule that the spec breaks: ranges and choices from the table, then rules between fields
// (micro_batch_size divides global_batch_size / ranks, at least one full global batch, ...). Empty if it is legal.
std::vector<FieldViolation> ValidateJobSpec(const JobSpec& spec);

// Whether `id` is a legal job id: ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$.
bool IsLegalJobId(std::string_view id);

// "training.steps: found -1, legal is 0 to 10000000; ..." for people.
std::string DescribeViolations(absl::Span<const FieldViolation> violations);

}  // namespace dropbp
