// Trying idempotent calls again while the coordinator is away.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "client/interrupt.h"
#include "core/base/status.h"

namespace dropbp::client {

struct RetryPolicy {
  absl::Duration give_up_after = absl::Seconds(10);  // counted from the first failure in a row
  absl::Duration first_pause = absl::Milliseconds(100);
  absl::Duration longest_pause = absl::Seconds(2);  // pauses double up to this
};

// The pauses of one row of failures. Success() begins a new row.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy) : policy_(policy) {}

  // The next pause, or a negative one when the time is over at `now`.
  absl::Duration Next(absl::Time now);
  void Success();
  // True between the first failure and Success().
  bool failing() const { return first_failure_ != absl::InfiniteFuture(); }

 private:
  RetryPolicy policy_;
  absl::Time first_failure_ = absl::InfiniteFuture();
  absl::Duration pause_ = absl::ZeroDuration();
};

// Runs `call` until it returns anything but UNAVAILABLE, the policy's time is over (its last
// status), `deadline` is over (DEADLINE_EXCEEDED) or a stop is requested (CANCELLED). `on_wait` is
// told once, before the first pause.
absl::Status CallWithRetry(const RetryPolicy& policy, const StopToken& stop, absl::Time deadline,
                           const std::function<absl::Status()>& call,
                           const std::function<void(const absl::Status&)>& on_wait);

}  // namespace dropbp::client
