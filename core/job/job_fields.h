// The one table of a job's fields: path, type, range, default and meaning. It drives validation,
// the YAML job file, the conversion to and from the wire format, --set on the command line, and
// docs/job-file.md.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "core/job/job_spec.h"

namespace dropbp {

// One field of JobSpec. `path` is dotted, for example "training.learning_rate", and the same in
// YAML, proto and errors.
struct JobField {
  using Accessor =
      std::variant<std::string& (*)(JobSpec&), int64_t& (*)(JobSpec&), double& (*)(JobSpec&),
                   bool& (*)(JobSpec&), std::vector<std::string>& (*)(JobSpec&),
                   std::map<std::string, std::string>& (*)(JobSpec&),
                   std::map<std::string, double>& (*)(JobSpec&)>;
  std::string_view path;
  Accessor access;
  std::string_view meaning;
  // Numbers: the closed range [min, max]; `below_max` makes it half open.
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool below_max = false;
  // Strings, and the elements of lists: the legal words; empty if free.
  std::vector<std::string_view> choices = {};
};

// All fields, in the order of the documentation.
absl::Span<const JobField> JobFields();

// The field at a path; nullptr if there is none.
const JobField* FindJobField(std::string_view path);

// The known path (or "name", "dataset.file", or a section such as "training") nearest to `unknown`
// by edit distance, as a whole or by its last key, or what PEFT, TRL, Axolotl and the like call by
// that last key; empty if nothing is near.
std::string NearestJobField(std::string_view unknown);

// One broken rule: which field, and a sentence that says what was found and what is legal.
struct FieldViolation {
  std::string field;
  std::string description;
};

// What one field may hold, for people: "0 to 10000000", "lora or full", "text".
std::string LegalValues(const JobField& field);

// The rule of the table (range or choice) that one field of the spec breaks, if any.
std::optional<FieldViolation> CheckJobField(const JobField& field, const JobSpec& spec);

// Every rule that the spec breaks: ranges and choices from the table, then rules between fields
// (ranks * micro_batch_size divides global_batch_size, ...). Empty if it is legal.
std::vector<FieldViolation> ValidateJobSpec(const JobSpec& spec);

// The most sensitivity probes of one job: each begins a plan that is kept, sent and stored.
inline constexpr int64_t kMostProbes = 1024;

// Whether dropbp.probe_every makes more of them than that in a job of so many steps.
std::optional<FieldViolation> CheckProbes(const JobSpec& spec, int64_t total_steps);

// Whether `id` is a legal job id: ^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$.
bool IsLegalJobId(std::string_view id);

// "training.steps: found -1, legal is 0 to 10000000; ..." for people.
std::string DescribeViolations(absl::Span<const FieldViolation> violations);

}  // namespace dropbp
