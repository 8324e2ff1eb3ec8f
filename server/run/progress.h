// How far an attempt is, added up from its ranks' step reports.
#pragma once

#include <deque>
#include <vector>

#include "absl/time/time.h"
#include "core/job/evaluation_schedule.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "server/store/job_store.h"

namespace dropbp::server {

// The best evaluation of a job, as ranks know it.
BestEvaluation BestOf(const v1::JobProgress& progress);
// Makes `evaluation` the newest, and the best if it is.
void AddEvaluation(const v1::Evaluation& evaluation, v1::JobProgress& progress);

// Not thread-safe. Copyable, so that a change can be tried on a copy.
class ProgressTracker {
 public:
  // Goes on where a job stands: an attempt begins, or the coordinator was restarted.
  void Restore(const v1::JobProgress& progress, const std::vector<v1::StepReport>& recent);

  // Counts a report of a rank, unless the rank's step was counted before: a report may come twice.
  // Steps, loss and bytes are those of rank 0; FLOPs are summed over all ranks. Returns whether it
  // was counted.
  bool Count(int rank, Placement& placement, const v1::StepReport& report, absl::Time now);

  // Counts an evaluation, unless it or a later one was counted before. Returns whether it was
  // counted.
  bool Count(const v1::Evaluation& evaluation);

  // Progress so far, with tokens/s (median of recent steps) and the time that is left.
  const v1::JobProgress& progress() const { return progress_; }
  // Median of recent steps; 0 before the first.
  double MedianStepSeconds() const;
  // Newest report of rank 0; its default before the first.
  v1::StepReport NewestStep() const;

 private:
  void CountRankZero(const v1::StepReport& report, absl::Time now);

  v1::JobProgress progress_;
  std::deque<v1::StepReport> recent_;  // of rank 0, oldest first
};

}  // namespace dropbp::server
