#include "server/metrics/event_metrics.h"

#include "dropbp/v1/jobs.pb.h"
#include "server/metrics/coordinator_table.h"

namespace dropbp::server {
namespace {

const std::vector<double>& Buckets(const char* name) {
  return FindMetric(CoordinatorTable(), name).buckets;
}

}  // namespace

EventMetrics::EventMetrics()
    : queue_wait_(Buckets("dropbp_queue_wait_seconds")),
      attempt_start_(Buckets("dropbp_attempt_start_seconds")),
      schedule_duration_(Buckets("dropbp_schedule_duration_seconds")),
      commit_duration_(Buckets("dropbp_store_commit_duration_seconds")) {
  for (const JobState state : {JobState::kSucceeded, JobState::kFailed, JobState::kCancelled}) {
    ended_[state];
  }
}

void EventMetrics::OnQueueWait(absl::Duration wait) {
  queue_wait_.Observe(absl::ToDoubleSeconds(wait));
}

void EventMetrics::OnSchedule(absl::Duration took) {
  schedule_duration_.Observe(absl::ToDoubleSeconds(took));
}

void EventMetrics::OnTraining(absl::Duration since_placement) {
  attempt_start_.Observe(absl::ToDoubleSeconds(since_placement));
}

void EventMetrics::OnRestart(bool charged) {
  (charged ? charged_restarts_ : free_restarts_).Increment();
}

void EventMetrics::OnEnd(JobState state) { ended_.at(state).Increment(); }

void EventMetrics::OnWorkerLost() { workers_lost_.Increment(); }

void EventMetrics::OnStep(int64_t tokens, bool finite) {
  steps_.Increment();
  tokens_.Increment(static_cast<double>(tokens));
  if (!finite) non_finite_steps_.Increment();
}

void EventMetrics::OnCommit(absl::Duration took, bool ok) {
  if (ok) {
    commit_duration_.Observe(absl::ToDoubleSeconds(took));
  } else {
    store_failures_.Increment();
  }
}

void EventMetrics::AddTo(Exposition& out) const {
  for (const auto& [state, count] : ended_) {
    out.Set("dropbp_jobs_ended_total", count.Value(),
            {v1::Job::State_Name(static_cast<v1::Job::State>(state))});
  }
  out.Set("dropbp_restarts_total", charged_restarts_.Value(), {"true"});
  out.Set("dropbp_restarts_total", free_restarts_.Value(), {"false"});
  out.Set("dropbp_queue_wait_seconds", queue_wait_);
  out.Set("dropbp_attempt_start_seconds", attempt_start_);
  out.Set("dropbp_schedule_duration_seconds", schedule_duration_);
  out.Set("dropbp_steps_total", steps_.Value());
  out.Set("dropbp_tokens_total", tokens_.Value());
  out.Set("dropbp_non_finite_steps_total", non_finite_steps_.Value());
  out.Set("dropbp_workers_lost_total", workers_lost_.Value());
  out.Set("dropbp_store_commit_duration_seconds", commit_duration_);
  out.Set("dropbp_store_failures_total", store_failures_.Value());
}

}  // namespace dropbp::server
