// Threads for slow work that nobody waits for.
#pragma once

#include <functional>
#include <list>
#include <thread>

#include "absl/synchronization/mutex.h"

namespace dropbp::agent {

// Runs each task on a thread of its own, at most `limit` of them at a time. Thread-safe.
class TaskGroup {
 public:
  explicit TaskGroup(int limit) : limit_(limit) {}
  // Waits for all tasks.
  ~TaskGroup();

  void Run(std::function<void()> task);

 private:
  struct Task {
    std::thread thread;
    bool done = false;
  };
  void Work(Task* task, const std::function<void()>& work);

  const int limit_;
  absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::list<Task> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::agent
