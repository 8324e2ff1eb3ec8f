// How failures cross a folder's border: absl::Status, and two macros that keep the calling code
// straight.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the calling function if `expression` is not OK. Its variable has a name that no
// expression has: one that is called like it would be its own first value.
#define RETURN_IF_ERROR(expression)                                                         \
  do {                                                                                      \
    if (absl::Status return_if_error_status = (expression); !return_if_error_status.ok()) { \
      return return_if_error_status;                                                        \
    }                                                                                       \
  } while (false)

#define DROPBP_STATUS_CONCAT_INNER(a, b) a##b
#define DROPBP_STATUS_CONCAT(a, b) DROPBP_STATUS_CONCAT_INNER(a, b)

// Evaluates a StatusOr; returns its status from the calling function, or moves its value into
// `target`.
#define ASSIGN_OR_RETURN(target, expression) \
  DROPBP_ASSIGN_OR_RETURN_IMPL(DROPBP_STATUS_CONCAT(statusor_, __LINE__), target, expression)
#define DROPBP_ASSIGN_OR_RETURN_IMPL(statusor, target, expression) \
  auto statusor = (expression);                                    \
  if (!statusor.ok()) return std::move(statusor).status();         \
  target = *std::move(statusor)

namespace dropbp {

// The same code with "`context`: " before the message; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace dropbp
