#include "core/checkpoint/job_identity.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/job/job_fields.h"
#include "core/job/job_values.h"

namespace dropbp {
namespace {

bool DeterminesTraining(std::string_view path) {
  return path != "max_restarts" && path != "priority" && path != "labels" &&
         !path.starts_with("checkpoint.") && !path.starts_with("resources.");
}

}  // namespace

std::string JobIdentity(const JobSpec& spec) {
  const JobSpec defaults;
  std::string text;
  for (const JobField& field : JobFields()) {
    if (!DeterminesTraining(field.path)) continue;
    const std::string value = FormatField(field, spec);
    if (value == FormatField(field, defaults)) continue;
    absl::StrAppend(&text, AbslView(field.path), " ", value.size(), " ", value, "\n");
  }
  return Sha256Hex(text);
}

}  // namespace dropbp
