// How a failure reads: what was found, what is legal, and the next command to type.
#pragma once

#include <string>

#include "client/console.h"
#include "core/base/status.h"

namespace dropbp::client {

// The same status with a command that the person may type next.
absl::Status WithNextStep(absl::Status status, absl::string_view command);

// Prints "error: ..." with a line for each violated field, then "next: ...". `coordinator` is the
// address in use.
void PrintError(const absl::Status& status, const std::string& coordinator, const Sink& sink);

}  // namespace dropbp::client
