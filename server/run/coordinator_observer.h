// What happens in the coordinator, for whoever counts it.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "core/job/job_state.h"

namespace dropbp::server {

// Called under the coordinator's lock: must not block and must not call back.
class CoordinatorObserver {
 public:
  virtual ~CoordinatorObserver() = default;
  // A job was given devices for the first time, so long after its creation.
  virtual void OnQueueWait(absl::Duration /*wait*/) {}
  // The scheduler went once through the queue.
  virtual void OnSchedule(absl::Duration /*took*/) {}
  // All ranks of an attempt have met, so long after it was placed.
  virtual void OnTraining(absl::Duration /*since_placement*/) {}
  // A gang is being rebuilt; `charged` to the job's max_restarts or not.
  virtual void OnRestart(bool /*charged*/) {}
  virtual void OnEnd(JobState /*state*/) {}
  // A worker's lease ran out, and it had not been stopped in good order.
  virtual void OnWorkerLost() {}
  // Rank 0 of some job reported a step that was not counted before.
  virtual void OnStep(int64_t /*tokens*/, bool /*finite*/) {}
  // A transaction of the job store ended; not `ok`: nothing was stored.
  virtual void OnCommit(absl::Duration /*took*/, bool /*ok*/) {}
};

// Counts nothing.
inline CoordinatorObserver& NoObserver() {
  static CoordinatorObserver observer;
  return observer;
}

}  // namespace dropbp::server
