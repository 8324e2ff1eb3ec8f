// Ctrl-C as a value: long waits and open streams are given up at once, and the command ends with
// its own words.
#pragma once

#include <functional>
#include <list>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace dropbp::client {

// A request to stop that several threads may look at. Thread-safe.
class StopToken {
 public:
  // Runs every registered callback, once.
  void Request();
  bool Requested() const;

  // Waits; true if a stop was requested before the time was over.
  bool WaitFor(absl::Duration duration) const;

  // Calls `on_stop` (from the requesting thread, or now if it was requested already) while this
  // object lives.
  class Callback {
   public:
    Callback(StopToken& token, std::function<void()> on_stop);
    ~Callback();
    Callback(const Callback&) = delete;
    Callback& operator=(const Callback&) = delete;

   private:
    StopToken& token_;
    std::list<std::function<void()>>::iterator place_;
  };

 private:
  mutable absl::Mutex mutex_;
  bool requested_ ABSL_GUARDED_BY(mutex_) = false;
  std::list<std::function<void()>> callbacks_ ABSL_GUARDED_BY(mutex_);
};

// While it lives, SIGINT and SIGTERM request a stop of `token` instead of ending the process. One
// at a time.
class InterruptGuard {
 public:
  explicit InterruptGuard(StopToken& token);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  std::thread listener_;
};

}  // namespace dropbp::client
