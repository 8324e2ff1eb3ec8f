#include "core/job/init_from.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/text.h"
#include "core/job/job_values.h"

namespace dropbp {
namespace {

// Fields that say which tensors a method trains, and what a result means.
std::vector<std::string_view> FieldsOfResult(const JobSpec& spec) {
  if (TrainsLora(spec.method)) {
    return {"lora.rank",       "lora.alpha",        "lora.target_modules", "lora.use_dora",
            "lora.use_rslora", "lora.rank_pattern", "lora.alpha_pattern",  "lora.modules_to_save"};
  }
  if (spec.method == "ia3") return {"ia3.target_modules", "ia3.feedforward_modules"};
  if (spec.method == "prompt_tuning") return {"prompt_tuning.num_virtual_tokens"};
  return {};
}

// Lists in order: which modules they name is what counts.
JobSpec InOrder(JobSpec spec) {
  for (std::vector<std::string>* words :
       {&spec.lora.target_modules, &spec.lora.modules_to_save, &spec.ia3.target_modules,
        &spec.ia3.feedforward_modules}) {
    std::sort(words->begin(), words->end());
  }
  return spec;
}

std::string Shown(const std::string& value) { return value.empty() ? "nothing" : value; }

FieldViolation Mismatch(std::string_view field, const std::string& found, const std::string& legal,
                        const JobSpec& spec) {
  return {std::string(field),
          absl::StrCat("found ", Shown(found), ", legal is ", Shown(legal), " as in job '",
                       ParseInitFrom(spec.init_from)->job_id, "', which init_from names")};
}

}  // namespace

std::optional<InitFrom> ParseInitFrom(std::string_view text) {
  const size_t at = text.find('@');
  InitFrom from{.job_id = std::string(text.substr(0, at)), .checkpoint = {}};
  if (!IsLegalJobId(from.job_id)) return std::nullopt;
  if (at == std::string_view::npos) return from;
  from.checkpoint = text.substr(at + 1);
  if (from.checkpoint == kBestCheckpoint || from.checkpoint == kLatestCheckpoint) return from;
  int64_t step = 0;
  // One step has one name.
  const bool legal = absl::SimpleAtoi(from.checkpoint, &step) && step >= 1 &&
                     from.checkpoint == absl::StrCat(step);
  return legal ? std::optional(from) : std::nullopt;
}

std::vector<FieldViolation> CheckInitFrom(const JobSpec& spec, const JobSpec& earlier) {
  std::vector<FieldViolation> violations;
  if (spec.model != earlier.model)
    violations.push_back(Mismatch("model", spec.model, earlier.model, spec));
  const bool both_lora = TrainsLora(spec.method) && TrainsLora(earlier.method);
  if (!both_lora && spec.method != earlier.method) {
    violations.push_back(Mismatch("method", spec.method,
                                  TrainsLora(earlier.method) ? "lora or qlora" : earlier.method,
                                  spec));
    return violations;
  }
  const JobSpec ours = InOrder(spec), theirs = InOrder(earlier);
  for (const std::string_view path : FieldsOfResult(spec)) {
    const JobField* field = FindJobField(path);
    DROPBP_CHECK(field != nullptr);
    const std::string found = FormatField(*field, ours), legal = FormatField(*field, theirs);
    if (found != legal) violations.push_back(Mismatch(path, found, legal, spec));
  }
  return violations;
}

}  // namespace dropbp
