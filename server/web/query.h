// What follows '?' in a request.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace dropbp::server {

using QueryParameters = std::vector<std::pair<std::string, std::string>>;

// "a=1&b=2" in order. Names and values are of letters, digits and "_-" only, so that nothing needs
// to be decoded; INVALID_ARGUMENT otherwise, and for more than 32 of them.
absl::StatusOr<QueryParameters> ParseQuery(absl::string_view query);

}  // namespace dropbp::server
