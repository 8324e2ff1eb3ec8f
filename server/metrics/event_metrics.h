// Counts and times of what happens in the coordinator, since it started.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/histogram.h>

#include <map>

#include "core/metrics/exposition.h"
#include "server/run/coordinator_observer.h"

namespace dropbp::server {

// Thread-safe.
class EventMetrics : public CoordinatorObserver {
 public:
  EventMetrics();

  void OnQueueWait(absl::Duration wait) override;
  void OnSchedule(absl::Duration took) override;
  void OnTraining(absl::Duration since_placement) override;
  void OnRestart(bool charged) override;
  void OnEnd(JobState state) override;
  void OnWorkerLost() override;
  void OnStep(int64_t tokens, bool finite) override;
  void OnCommit(absl::Duration took, bool ok) override;

  void AddTo(Exposition& out) const;

 private:
  prometheus::Histogram queue_wait_;
  prometheus::Histogram attempt_start_;
  prometheus::Histogram schedule_duration_;
  prometheus::Histogram commit_duration_;
  prometheus::Counter charged_restarts_;
  prometheus::Counter free_restarts_;
  prometheus::Counter workers_lost_;
  prometheus::Counter steps_;
  prometheus::Counter tokens_;
  prometheus::Counter non_finite_steps_;
  prometheus::Counter store_failures_;
  std::map<JobState, prometheus::Counter> ended_;  // an entry for each final state
};

}  // namespace dropbp::server
