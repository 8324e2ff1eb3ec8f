// Coordinator: workers that are taken out of use, by their own end or by a person.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proto/support/grpc_status.h"
#include "server/run/coordinator.h"

namespace dropbp::server {
namespace {

// For the step that ranks are in, and their checkpoint, when a person drains a worker.
constexpr absl::Duration kDrainGrace = absl::Minutes(2);

// After the last step come the results: ranks that are that far get the grace to hand them over.
bool TrainsOn(const Run& run, const std::string& worker_id) {
  const v1::JobProgress& progress = run.job.progress();
  const bool done = progress.step() >= progress.total_steps() || run.StoppedEarly();
  if (run.state() == JobState::kRunning && done) return false;
  return std::any_of(run.ranks.begin(), run.ranks.end(), [&](const Placement& rank) {
    return rank.worker_id == worker_id && !rank.gone && !rank.finished;
  });
}

}  // namespace

absl::Status Coordinator::ClearWorker(const std::string& worker_id, const std::string& why,
                                      absl::Duration grace) {
  for (auto& [job_id, live] : runs_) {
    if (live.run.state() == JobState::kPreparing && live.preparer == worker_id) {
      RETURN_IF_ERROR(Apply(live, Requeued{why}));
      live.preparer.clear();
    }
    if (TrainsOn(live.run, worker_id)) RETURN_IF_ERROR(Apply(live, WorkerDrains{why, grace}));
  }
  return absl::OkStatus();
}

absl::Status Coordinator::OnDraining(KnownWorker& worker, const v1::WorkerDraining& draining) {
  spdlog::info("worker {} is being stopped", worker.id());
  worker.leaving = true;
  return ClearWorker(worker.id(), absl::StrCat("Worker '", worker.id(), "' is being stopped."),
                     absl::Seconds(std::max(0.0, draining.grace_seconds())));
}

absl::StatusOr<v1::Worker> Coordinator::DrainWorker(const v1::DrainWorkerRequest& request) {
  absl::MutexLock lock(&mutex_);
  KnownWorker* worker = workers_.Find(request.worker_id());
  if (worker == nullptr) {
    return WithReason(absl::NotFoundError(absl::StrCat("worker: found '", request.worker_id(),
                                                       "', legal is a worker that ListWorkers "
                                                       "names")),
                      "WORKER_NOT_FOUND");
  }
  worker->drained = !request.undo();
  spdlog::info("worker {} is {}", worker->id(), worker->drained ? "drained" : "in use again");
  if (worker->drained && !request.keep_jobs()) {
    RETURN_IF_ERROR(ClearWorker(
        worker->id(), absl::StrCat("Worker '", worker->id(), "' is being drained."), kDrainGrace));
  }
  const v1::Worker described = WorkerRegistry::Describe(*worker);
  RunSchedule();
  return described;
}

}  // namespace dropbp::server
