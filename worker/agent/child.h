// Runs a short-lived child process to its end.
#pragma once

#include <string>

#include "core/base/status.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/spawner.h"

namespace dropbp::agent {

struct ChildResult {
  ExitStatus exit;
  std::string output;       // stdout
  std::string diagnostics;  // the end of stderr
};

// Feeds `input` to the child's stdin and collects what it writes. DEADLINE_EXCEEDED if it takes
// longer than `timeout`, CANCELLED once `cancel` is, RESOURCE_EXHAUSTED if stdout grows over 16
// MiB; the child and its group are gone when this returns.
absl::StatusOr<ChildResult> RunChild(Spawner& spawner, const std::vector<std::string>& arguments,
                                     const std::string& input, absl::Duration timeout,
                                     const CancelToken& cancel);

}  // namespace dropbp::agent
