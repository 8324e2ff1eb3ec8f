#include "client/retry.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace dropbp::client {

absl::Duration Backoff::Next(absl::Time now) {
  if (!failing()) {
    first_failure_ = now;
    pause_ = policy_.first_pause;
  } else {
    pause_ = std::min(pause_ * 2, policy_.longest_pause);
  }
  const absl::Duration left = first_failure_ + policy_.give_up_after - now;
  if (left <= absl::ZeroDuration()) return -absl::Nanoseconds(1);
  return std::min(pause_, left);
}

void Backoff::Success() { first_failure_ = absl::InfiniteFuture(); }

absl::Status CallWithRetry(const RetryPolicy& policy, const StopToken& stop, absl::Time deadline,
                           const std::function<absl::Status()>& call,
                           const std::function<void(const absl::Status&)>& on_wait) {
  Backoff backoff(policy);
  while (true) {
    if (stop.Requested()) return absl::CancelledError("stopped by the user");
    absl::Status status = call();
    if (!absl::IsUnavailable(status)) return status;
    const absl::Time now = absl::Now();
    if (now >= deadline) return absl::DeadlineExceededError("the time is over");
    const bool first = !backoff.failing();
    const absl::Duration pause = backoff.Next(now);
    if (pause < absl::ZeroDuration()) return status;
    if (first) on_wait(status);
    stop.WaitFor(std::min(pause, deadline - now));
  }
}

}  // namespace dropbp::client
