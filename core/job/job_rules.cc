// The rules of a job specification: the table's ranges and choices, then what must hold between
// fields.
#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/job/init_from.h"
#include "core/job/job_fields.h"
#include "core/job/job_values.h"
#include "core/job/lora_targets.h"

namespace dropbp {
namespace {

using Words = std::vector<std::string>;
using Pairs = std::map<std::string, std::string>;
using Numbers = std::map<std::string, double>;

constexpr size_t kMaxLabels = 32;
constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxPatterns = 256;
constexpr size_t kMaxMixFiles = 64;
constexpr int kMaxMixWeight = 1000;
constexpr size_t kMaxPrompts = 16;
constexpr size_t kMaxPromptBytes = 4096;
constexpr int64_t kMaxAnswerTokens = 16384;  // other ranks wait while rank 0 writes them

std::string Quoted(std::string_view text) { return absl::StrCat("\"", Excerpt(text), "\""); }

bool InRange(const JobField& field, double value) {
  // Written so that NaN is out of every range.
  return value >= field.min && (field.below_max ? value < field.max : value <= field.max);
}

bool IsChoice(const JobField& field, std::string_view word) {
  return field.choices.empty() ||
         std::find(field.choices.begin(), field.choices.end(), word) != field.choices.end();
}

FieldViolation Violation(std::string_view field, std::string_view found, std::string_view legal) {
  return {std::string(field),
          absl::StrCat("found ", AbslView(found), ", legal is ", AbslView(legal))};
}

void AppendWord(std::string* out, std::string_view word) { out->append(word); }

// What `value` of `field` has that is not legal; empty if it is.
std::string IllegalPart(const JobField&, const Pairs&) { return ""; }
std::string IllegalPart(const JobField&, const Numbers&) { return ""; }
std::string IllegalPart(const JobField&, bool) { return ""; }
std::string IllegalPart(const JobField& field, const std::string& value) {
  return IsChoice(field, value) ? "" : Quoted(value);
}
std::string IllegalPart(const JobField& field, int64_t value) {
  return InRange(field, static_cast<double>(value)) ? "" : absl::StrCat(value);
}
std::string IllegalPart(const JobField& field, double value) {
  return InRange(field, value) ? "" : FormatNumber(value);
}
std::string IllegalPart(const JobField& field, const Words& words) {
  for (const std::string& word : words) {
    if (!IsChoice(field, word)) return Quoted(word);
  }
  return "";
}

// Letters, digits, '.', '_' and '-', not starting with '.' or '-', at most 128.
bool IsFolderName(std::string_view name) {
  const auto is_legal = [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 128 && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), is_legal);
}

bool IsLabelKey(std::string_view key) {
  const auto is_legal = [](char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  };
  return !key.empty() && key.size() <= 63 && std::all_of(key.begin(), key.end(), is_legal);
}

bool IsLabelValue(std::string_view value) {
  return value.size() <= 128 &&
         std::all_of(value.begin(), value.end(), [](char c) { return absl::ascii_isprint(c); });
}

void CheckNames(const JobSpec& spec, std::vector<FieldViolation>& out) {
  if (!IsFolderName(spec.model)) {
    out.push_back(Violation(
        "model", Quoted(spec.model),
        "the name of a model folder: 1 to 128 letters, digits, '.', '_' or '-', not starting "
        "with '.' or '-'"));
  }
  if (!IsSha256(spec.dataset.artifact)) {
    out.push_back(Violation("dataset.artifact", Quoted(spec.dataset.artifact),
                            "the SHA-256 of an uploaded file: 64 lower-case hexadecimal digits"));
  }
  if (!spec.init_from.empty() && !ParseInitFrom(spec.init_from)) {
    out.push_back(Violation("init_from", Quoted(spec.init_from),
                            "the id of a job, alone or followed by @ and what names one of its "
                            "checkpoints: a number of steps, best or latest"));
  }
}

// What a record's fields are called where they have their usual names.
constexpr std::string_view kDataFields[] = {
    "messages", "conversations", "system",      "tools", "role",   "content", "from",       "value",
    "weight",   "train",         "instruction", "input", "output", "prompt",  "completion", "text"};

void CheckDataFields(const JobSpec& spec, std::vector<FieldViolation>& out) {
  for (const auto& [key, name] : spec.dataset.fields) {
    if (std::find(std::begin(kDataFields), std::end(kDataFields), key) == std::end(kDataFields)) {
      out.push_back(Violation("dataset.fields", absl::StrCat("key ", Quoted(key)),
                              absl::StrJoin(kDataFields, ", ", [](std::string* text, auto field) {
                                text->append(field);
                              })));
    } else if (name.empty() || name.size() > kMaxNameBytes) {
      out.push_back(Violation(absl::StrCat("dataset.fields.", key), Quoted(name),
                              absl::StrCat("a name of 1 to ", kMaxNameBytes, " bytes")));
    }
  }
}

void CheckMix(const JobSpec& spec, std::vector<FieldViolation>& out) {
  if (spec.dataset.mix.size() > kMaxMixFiles) {
    out.push_back(Violation("dataset.mix", absl::StrCat(spec.dataset.mix.size(), " files"),
                            absl::StrCat("at most ", kMaxMixFiles)));
  }
  for (const auto& [file, weight] : spec.dataset.mix) {
    if (!IsSha256(file)) {
      out.push_back(Violation("dataset.mix", absl::StrCat("key ", Quoted(file)),
                              "the SHA-256 of an uploaded file: 64 lower-case hexadecimal digits"));
    } else if (!(weight > 0 && weight <= kMaxMixWeight)) {
      out.push_back(Violation(absl::StrCat("dataset.mix.", file), FormatNumber(weight),
                              absl::StrCat("a number above 0, up to ", kMaxMixWeight)));
    }
  }
}

void CheckLabels(const JobSpec& spec, std::vector<FieldViolation>& out) {
  if (spec.labels.size() > kMaxLabels) {
    out.push_back(Violation("labels", absl::StrCat(spec.labels.size(), " labels"),
                            absl::StrCat("at most ", kMaxLabels)));
  }
  for (const auto& [key, value] : spec.labels) {
    if (!IsLabelKey(key)) {
      out.push_back(Violation("labels", absl::StrCat("key ", Quoted(key)),
                              "1 to 63 letters, digits, '.', '_' or '-'"));
    } else if (!IsLabelValue(value)) {
      out.push_back(Violation(absl::StrCat("labels.", key), Quoted(value),
                              "at most 128 printable ASCII characters"));
    }
  }
}

void CheckTargetModules(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const Words& modules = spec.lora.target_modules;
  const std::set<std::string> distinct(modules.begin(), modules.end());
  constexpr std::string_view kField = "lora.target_modules";
  if (modules.empty()) {
    out.push_back(Violation(kField, "an empty list", "at least one module"));
  } else if (distinct.size() != modules.size()) {
    out.push_back(Violation(kField, Quoted(absl::StrJoin(modules, ",")), "each module once"));
  } else if (distinct.contains("all-linear") && distinct.size() > 1) {
    out.push_back(Violation(kField, Quoted(absl::StrJoin(modules, ",")),
                            "all-linear alone, or modules by name"));
  }
}

void CheckLoraVariants(const JobSpec& spec, std::vector<FieldViolation>& out) {
  for (const auto& [field, pattern] : {std::pair("lora.rank_pattern", &spec.lora.rank_pattern),
                                       std::pair("lora.alpha_pattern", &spec.lora.alpha_pattern)}) {
    if (pattern->size() > kMaxPatterns)
      out.push_back(Violation(field, absl::StrCat(pattern->size(), " patterns"),
                              absl::StrCat("at most ", kMaxPatterns)));
  }
  if (const absl::Status status = LoraTargets::Make(spec.lora).status(); !status.ok()) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(status.message(), absl::MaxSplits(": ", 1));
    out.push_back({parts.first, parts.second});
  }
  if (spec.lora.use_dora && spec.lora.dropout > 0) {
    out.push_back(
        Violation("lora.dropout", FormatNumber(spec.lora.dropout), "0 with lora.use_dora"));
  }
}

void CheckOtherMethods(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const int64_t block = spec.qlora.block_size;
  if (block > 0 && !std::has_single_bit(static_cast<uint64_t>(block)))
    out.push_back(Violation("qlora.block_size", absl::StrCat(block), "a power of two"));
  if (spec.dataset.packing && spec.method == "prompt_tuning") {
    out.push_back(Violation("dataset.packing", "true with method prompt_tuning",
                            "false: virtual tokens stand at the beginning of a row only"));
  }
  if (spec.ia3.target_modules.empty())
    out.push_back(Violation("ia3.target_modules", "an empty list", "at least one module"));
}

void CheckBatches(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const TrainingSpec& training = spec.training;
  const int64_t at_once = spec.resources.ranks * training.micro_batch_size;
  if (training.global_batch_size % at_once != 0) {
    out.push_back(Violation(
        "training.global_batch_size", absl::StrCat(training.global_batch_size),
        absl::StrCat("a multiple of resources.ranks * training.micro_batch_size = ",
                     spec.resources.ranks, " * ", training.micro_batch_size, " = ", at_once)));
  }
  if (training.steps == 0 && training.epochs == 0) {
    out.push_back(
        Violation("training.epochs", "0 with training.steps 0", "one of the two above 0"));
  }
}

bool MeasuresSensitivities(const DropbpSpec& dropbp) {
  return dropbp.allocation != "depth" && dropbp.allocation != "uniform";
}

// Who sets what has no effect expects one. A value that is the default may have been filled in.
void CheckWithoutSensitivities(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const DropbpSpec& set = spec.dropbp;
  const DropbpSpec defaults;
  const auto check = [&](std::string_view field, double value, double standard) {
    if (value == standard) return;
    out.push_back(Violation(field,
                            absl::StrCat(FormatNumber(value), " with dropbp.allocation ",
                                         set.allocation, ", where it has no effect"),
                            "to leave it out, or dropbp.allocation quadratic, linear or neyman"));
  };
  const auto real = [](int64_t count) { return static_cast<double>(count); };
  check("dropbp.max_unit_rate", set.max_unit_rate, defaults.max_unit_rate);
  check("dropbp.probe_at", set.probe_at, defaults.probe_at);
  check("dropbp.probe_every", real(set.probe_every), real(defaults.probe_every));
  check("dropbp.probe_samples", real(set.probe_samples), real(defaults.probe_samples));
}

void CheckDropbp(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const bool measures = MeasuresSensitivities(spec.dropbp);
  if (!measures) CheckWithoutSensitivities(spec, out);
  const double cap = spec.dropbp.max_unit_rate;
  if (measures && cap != 0 && cap < spec.dropbp.drop_rate) {
    out.push_back(Violation(
        "dropbp.max_unit_rate", FormatNumber(cap),
        absl::StrCat("0, or dropbp.drop_rate = ", FormatNumber(spec.dropbp.drop_rate), " to 1")));
  }
  if (spec.dropbp.allocation == "depth" && spec.dropbp.estimator == "unbiased") {
    out.push_back(Violation("dropbp.estimator", "\"unbiased\" with allocation depth",
                            "by_allocation, paper or own; with depth own is unbiased"));
  }
  const int64_t groups = spec.dropbp.mask_groups;
  if (groups != 0 && spec.training.micro_batch_size % groups != 0) {
    out.push_back(Violation("dropbp.mask_groups", absl::StrCat(groups),
                            absl::StrCat("0, or a divisor of training.micro_batch_size = ",
                                         spec.training.micro_batch_size)));
  }
}

void CheckHeldOut(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const DatasetSpec& data = spec.dataset;
  const bool file = !data.validation_artifact.empty();
  if (file && !IsSha256(data.validation_artifact)) {
    out.push_back(Violation("dataset.validation_artifact", Quoted(data.validation_artifact),
                            "the SHA-256 of an uploaded file: 64 lower-case hexadecimal digits"));
  }
  if (file && data.validation_share > 0) {
    out.push_back(Violation("dataset.validation_share", FormatNumber(data.validation_share),
                            "0 with a validation file: held-out samples come from one of the two"));
  }
  if (file || data.validation_share > 0) return;
  constexpr std::string_view kNeedsHeldOut =
      " without held-out samples: give dataset.validation_file or dataset.validation_share";
  if (spec.evaluation.patience > 0) {
    out.push_back(Violation("evaluation.patience", absl::StrCat(spec.evaluation.patience),
                            absl::StrCat("0", AbslView(kNeedsHeldOut))));
  }
  if (spec.evaluation.result == "best") {
    out.push_back(
        Violation("evaluation.result", "\"best\"", absl::StrCat("last", AbslView(kNeedsHeldOut))));
  }
}

void CheckPrompts(const JobSpec& spec, std::vector<FieldViolation>& out) {
  const Words& prompts = spec.evaluation.prompts;
  constexpr std::string_view kField = "evaluation.prompts";
  if (prompts.size() > kMaxPrompts) {
    out.push_back(Violation(kField, absl::StrCat(prompts.size(), " prompts"),
                            absl::StrCat("at most ", kMaxPrompts)));
  }
  for (const std::string& prompt : prompts) {
    if (!prompt.empty() && prompt.size() <= kMaxPromptBytes) continue;
    out.push_back(Violation(kField, absl::StrCat("a prompt of ", prompt.size(), " bytes"),
                            absl::StrCat("1 to ", kMaxPromptBytes)));
  }
  const auto count = std::max<int64_t>(1, static_cast<int64_t>(prompts.size()));
  if (spec.evaluation.max_new_tokens * count > kMaxAnswerTokens) {
    out.push_back(
        Violation("evaluation.max_new_tokens", absl::StrCat(spec.evaluation.max_new_tokens),
                  absl::StrCat("at most ", kMaxAnswerTokens / count, " with ", count, " prompts")));
  }
}

}  // namespace

std::string LegalValues(const JobField& field) {
  const bool whole = std::holds_alternative<int64_t& (*)(JobSpec&)>(field.access);
  if (whole || std::holds_alternative<double& (*)(JobSpec&)>(field.access)) {
    return absl::StrCat(whole ? "a whole number from " : "a number from ", FormatNumber(field.min),
                        field.below_max ? " to below " : " to ", FormatNumber(field.max));
  }
  if (std::holds_alternative<Pairs& (*)(JobSpec&)>(field.access)) return "key-value pairs of text";
  if (std::holds_alternative<Numbers& (*)(JobSpec&)>(field.access)) return "numbers by name";
  if (std::holds_alternative<bool& (*)(JobSpec&)>(field.access)) return "true or false";
  if (field.choices.empty()) return "text";
  const auto last = field.choices.end() - 1;
  const bool list = std::holds_alternative<Words& (*)(JobSpec&)>(field.access);
  return absl::StrCat(list ? "a list of " : "",
                      absl::StrJoin(field.choices.begin(), last, ", ", AppendWord), " or ",
                      AbslView(*last));
}

std::optional<FieldViolation> CheckJobField(const JobField& field, const JobSpec& spec) {
  JobSpec copy = spec;
  const std::string found =
      std::visit([&](auto access) { return IllegalPart(field, access(copy)); }, field.access);
  if (found.empty()) return std::nullopt;
  return Violation(field.path, found, LegalValues(field));
}

std::optional<FieldViolation> CheckProbes(const JobSpec& spec, int64_t total_steps) {
  const int64_t every = spec.dropbp.probe_every;
  const int64_t first = ProbeStep(spec, total_steps);
  if (every == 0 || first < 0) return std::nullopt;
  const int64_t least = (total_steps - first + kMostProbes - 1) / kMostProbes;
  if (every >= least) return std::nullopt;
  return Violation("dropbp.probe_every", absl::StrCat(every),
                   absl::StrCat("0, or at least ", least, " in a job of ", total_steps,
                                " steps: at most ", kMostProbes, " probes"));
}

std::vector<FieldViolation> ValidateJobSpec(const JobSpec& spec) {
  std::vector<FieldViolation> violations;
  for (const JobField& field : JobFields()) {
    if (auto violation = CheckJobField(field, spec)) violations.push_back(*std::move(violation));
  }
  // The rules between fields divide and multiply: they hold only for values in range.
  const bool in_range = violations.empty();
  CheckNames(spec, violations);
  CheckDataFields(spec, violations);
  CheckMix(spec, violations);
  CheckLabels(spec, violations);
  CheckTargetModules(spec, violations);
  CheckLoraVariants(spec, violations);
  CheckOtherMethods(spec, violations);
  CheckHeldOut(spec, violations);
  CheckPrompts(spec, violations);
  if (in_range) {
    CheckBatches(spec, violations);
    CheckDropbp(spec, violations);
    if (spec.training.steps > 0) {
      if (auto probes = CheckProbes(spec, spec.training.steps)) violations.push_back(*probes);
    }
  }
  return violations;
}

bool IsLegalJobId(std::string_view id) {
  const auto is_end = [](char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); };
  return !id.empty() && id.size() <= 63 && absl::ascii_islower(id.front()) && is_end(id.back()) &&
         std::all_of(id.begin(), id.end(), [&](char c) { return is_end(c) || c == '-'; });
}

std::string DescribeViolations(absl::Span<const FieldViolation> violations) {
  return absl::StrJoin(violations, "; ", [](std::string* out, const FieldViolation& violation) {
    absl::StrAppend(out, violation.field, ": ", violation.description);
  });
}

}  // namespace dropbp
