#include "core/job/job_fields_markdown.h"

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/job/job_fields.h"
#include "core/job/job_values.h"

namespace dropbp {

std::string RenderJobFieldsMarkdown() {
  const JobSpec defaults;
  std::string table =
      "| Field | Legal | Default | Meaning |\n"
      "| --- | --- | --- | --- |\n";
  for (const JobField& field : JobFields()) {
    const std::string value = FormatField(field, defaults);
    absl::StrAppend(&table, "| `", AbslView(field.path), "` | ", LegalValues(field), " | ",
                    value.empty() ? "" : absl::StrCat("`", value, "`"), " | ",
                    AbslView(field.meaning), " |\n");
  }
  return table;
}

}  // namespace dropbp
