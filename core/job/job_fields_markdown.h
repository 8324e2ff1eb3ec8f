// The field table as the Markdown table of docs/job-file.md.
#pragma once

#include <string>

namespace dropbp {

// One row for each field: path, legal values, default, meaning. A test compares it with the page.
std::string RenderJobFieldsMarkdown();

}  // namespace dropbp
