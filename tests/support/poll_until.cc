#include "tests/support/poll_until.h"

#include "absl/time/clock.h"

namespace dropbp::testing {

bool PollUntil(absl::Duration timeout, const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

}  // namespace dropbp::testing
