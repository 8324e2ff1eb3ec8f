// From a template's text to its statements.
#pragma once

#include <string_view>

#include "core/base/status.h"
#include "worker/data/jinja/ast.h"

namespace dropbp::data::jinja {

// INVALID_ARGUMENT with "line N: ..." for a text that is no template or uses what is not supported:
// tags other than if, for, set, generation, break and continue, recursive loops, filters and tests
// without an implementation here.
absl::StatusOr<Block> ParseTemplate(std::string_view source);

}  // namespace dropbp::data::jinja
