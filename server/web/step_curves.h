// The curves of jobs that somebody looks at. What was read of a job's step history is kept thinned
// out, so that the next look reads only the steps since.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/base/status.h"
#include "dropbp/v1/history.pb.h"
#include "server/run/coordinator.h"
#include "server/web/thin_curve.h"

namespace dropbp::server {

// Thread-safe; one look at a time, and the coordinator's lock is never held for long. The
// coordinator outlives it.
class StepCurves {
 public:
  static constexpr size_t kMostPoints = 1000;
  static constexpr size_t kMostJobs = 32;  // whose curves are kept; the others are read anew

  explicit StepCurves(Coordinator& coordinator) : coordinator_(coordinator) {}

  // NOT_FOUND (reason JOB_NOT_FOUND) if there is no such job. One look reads at most 50,000 steps;
  // known_steps tells how far it came, and the next look goes on there.
  absl::StatusOr<v1::StepHistory> Look(const std::string& job_id);

 private:
  struct Kept {
    int attempt = 0;
    uint64_t last_look = 0;
    ThinCurve curve{kMostPoints};
  };
  absl::Status ReadNew(const std::string& job_id, Kept& kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Coordinator& coordinator_;
  absl::Mutex mutex_;
  uint64_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Kept> kept_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::server
