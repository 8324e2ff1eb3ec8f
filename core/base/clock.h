// The door to time. Code that waits or stamps takes a Clock, so that a test can move it.
#pragma once

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace dropbp {

// A source of the current time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
};

// The machine's clock; lives for the whole program.
const Clock& SystemClock();

// A clock that stands still until it is moved. Thread-safe.
class ManualClock : public Clock {
 public:
  explicit ManualClock(absl::Time start) : now_(start) {}
  absl::Time Now() const override;
  void Advance(absl::Duration by);

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp
