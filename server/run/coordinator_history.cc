// Coordinator: what has happened to a job so far.
#include "server/run/coordinator.h"

namespace dropbp::server {

absl::StatusOr<std::vector<v1::JobEvent>> Coordinator::NewestEvents(const std::string& job_id,
                                                                    int limit) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(store_->Get(job_id).status());
  return store_->NewestEvents(job_id, limit);
}

absl::StatusOr<std::vector<v1::Evaluation>> Coordinator::Evaluations(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(store_->Get(job_id).status());
  return store_->Evaluations(job_id);
}

absl::StatusOr<StepPage> Coordinator::StepsFrom(const std::string& job_id, int64_t first_step,
                                                int limit) {
  absl::MutexLock lock(&mutex_);
  const LiveRun* live = FindRun(job_id);
  StepPage page;
  if (live != nullptr) {
    page.attempt = live->run.job.attempt();
  } else {
    ASSIGN_OR_RETURN(const v1::Job job, store_->Get(job_id));
    page.attempt = job.attempt();
  }
  ASSIGN_OR_RETURN(page.steps, store_->StepsFrom(job_id, first_step, limit));
  if (live == nullptr) return page;
  // The newest second is not in the store yet.
  for (const v1::StepReport& step : live->unsaved_steps) {
    if (static_cast<int>(page.steps.size()) == limit) break;
    const int64_t next = page.steps.empty() ? first_step : page.steps.back().step() + 1;
    if (step.step() >= next) page.steps.push_back(step);
  }
  return page;
}

}  // namespace dropbp::server
