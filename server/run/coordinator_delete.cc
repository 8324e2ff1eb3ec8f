// Coordinator: deleting jobs that have ended.
#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "proto/support/grpc_status.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

absl::StatusOr<v1::Job> Coordinator::DeleteJob(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  // Checkpoints that a job begins from are pinned; a result is not.
  for (const auto& [id, live] : runs_) {
    if (live.run.spec.init_from != job_id) continue;
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("job '", job_id, "' is what job '", id,
                                       "' begins from (init_from), which has not ended")),
                      "JOB_IN_USE");
  }
  ASSIGN_OR_RETURN(v1::Job job, store_->Delete(job_id));
  DeleteUnused();
  if (const absl::Status status = logs_.Delete(job_id); !status.ok())
    spdlog::error("job {}: {}", job_id, status.ToString());
  spdlog::info("job {}: deleted", job_id);
  return job;
}

}  // namespace dropbp::server
