// A job that has not ended, with everything about it that lives in memory only.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "dropbp/v1/jobs.pb.h"
#include "server/plan/job_planner.h"
#include "server/rendezvous/rendezvous.h"
#include "server/run/progress.h"
#include "server/run/run_machine.h"

namespace dropbp::server {

// Where a job's events go while somebody watches. Called under the coordinator's lock: must not
// block and must not call back.
class JobWatcher {
 public:
  virtual ~JobWatcher() = default;
  virtual void OnEvent(const v1::JobEvent& event) = 0;
  // No event follows: OK when the job has ended, UNAVAILABLE when the coordinator stops.
  virtual void OnEnd(const absl::Status& status) = 0;
};

// What the coordinator remembers of a rank of the current attempt.
struct RankWatch {
  absl::Time heard;  // last progress
  // Since when its agent is connected but does not list it; its last frames may be on their way.
  absl::Time missing_since = absl::InfiniteFuture();
  bool ready = false;
  int64_t masks_until = 0;  // masks were sent up to this step
  // Seconds of a step without all-reduce, a moving average of recent ones; in a gang the rank with
  // the most keeps the others waiting.
  double compute_seconds = 0;
  // The newest answers of the rendezvous, sent again after a reconnect.
  std::deque<v1::KvResponse> answers = {};
};

struct LiveRun {
  int64_t create_order = 0;
  Run run;
  std::vector<std::shared_ptr<JobWatcher>> watchers;

  // Preparation.
  std::string preparer;  // worker that checks the data now
  int failed_checks = 0;
  absl::Time next_check = absl::InfinitePast();

  // Queue.
  std::string pending_reason;
  int queue_position = 0;

  // The current attempt.
  std::optional<JobPlanner> planner;
  ProgressTracker progress;
  double step_seconds_before = 0;  // median of the attempt before; 0: unknown
  // Where counters of the job begin: at its attempt, or with this coordinator.
  v1::JobProgress counted_from;
  Rendezvous rendezvous;
  std::vector<RankWatch> watches;  // by rank
  absl::Time attempt_start;
  int64_t non_finite_steps = 0;  // loss or gradient norm was not a finite number

  // What the store does not have yet.
  bool dirty = false;
  std::vector<v1::StepReport> unsaved_steps;
};

}  // namespace dropbp::server
