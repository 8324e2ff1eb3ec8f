// Waiting for what cannot be told by an event: files and processes of others.
#pragma once

#include <functional>

#include "absl/time/time.h"

namespace dropbp::testing {

// Looks every few milliseconds; false if the condition was not met in time.
bool PollUntil(absl::Duration timeout, const std::function<bool()>& condition);

}  // namespace dropbp::testing
