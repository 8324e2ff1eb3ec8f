// Tells slow work that nobody wants it any more.
#pragma once

#include <functional>
#include <map>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace dropbp::agent {

// Cancelled once, for good. Thread-safe.
class CancelToken {
 public:
  void Cancel();
  bool cancelled() const;
  // Waits; true if it was cancelled meanwhile.
  bool WaitFor(absl::Duration duration) const;

 private:
  friend class CancelCallback;
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  mutable int next_id_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::map<int, std::function<void()>> callbacks_ ABSL_GUARDED_BY(mutex_);
};

// While it lives, `callback` is called (once, on the cancelling thread, at once if it is too late)
// when the token is cancelled. The callback must not use the token.
class CancelCallback {
 public:
  CancelCallback(const CancelToken& token, std::function<void()> callback);
  ~CancelCallback();
  CancelCallback(const CancelCallback&) = delete;
  CancelCallback& operator=(const CancelCallback&) = delete;

 private:
  const CancelToken& token_;
  int id_ = 0;
};

}  // namespace dropbp::agent
