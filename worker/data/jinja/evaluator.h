// Runs a parsed template.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "worker/data/jinja/ast.h"

namespace dropbp::data::jinja {

struct Rendering {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generation;  // byte ranges of {% generation %} blocks
};

// Renders under the bounds of Budget. `variables` are what the template can read beside Jinja's own
// names; `clock` is what strftime_now reads. INVALID_ARGUMENT or RESOURCE_EXHAUSTED with "line N:
// ...".
absl::StatusOr<Rendering> Render(const Block& block, Entries variables, const Clock& clock);

}  // namespace dropbp::data::jinja
