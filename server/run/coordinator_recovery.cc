// Coordinator: taking up stored jobs after a restart. Gangs that train go on untouched: their
// agents reconnect, list their ranks, and send what was not acknowledged. Workers of stored runs
// have one lease to come back.
#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "proto/support/job_spec_proto.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

Coordinator::Coordinator(CoordinatorOptions options, std::unique_ptr<JobStore> store,
                         ArtifactStore& artifacts, LogStore& logs, const Clock& clock)
    : options_(std::move(options)),
      artifacts_(artifacts),
      clock_(clock),
      store_(std::move(store)),
      logs_(logs),
      last_tick_(clock.Now()),
      last_flush_(clock.Now()) {
  store_->set_commit_observer([observer = options_.observer](absl::Duration took, bool ok) {
    observer->OnCommit(took, ok);
  });
}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Open(CoordinatorOptions options,
                                                               std::unique_ptr<JobStore> store,
                                                               ArtifactStore& artifacts,
                                                               LogStore& logs, const Clock& clock) {
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(std::move(options), std::move(store), artifacts, logs, clock));
  RETURN_IF_ERROR(coordinator->Recover());
  return coordinator;
}

absl::Status Coordinator::Recover() {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(std::vector<StoredJob> jobs, store_->LoadActive());
  for (StoredJob& stored : jobs) RETURN_IF_ERROR(RecoverJob(std::move(stored)));
  DeleteUnused();
  if (!jobs.empty()) spdlog::info("took up {} stored jobs", jobs.size());
  RunSchedule();
  return absl::OkStatus();
}

absl::Status Coordinator::RecoverJob(StoredJob stored) {
  const absl::Time now = clock_.Now();
  LiveRun& live = runs_[stored.job.job_id()];
  live.create_order = stored.create_order;
  live.run.spec = JobSpecFromProto(stored.job.spec());
  live.run.job = std::move(stored.job);
  live.run.shape = std::move(stored.shape);
  live.run.ranks = std::move(stored.placements);
  live.watches.assign(live.run.ranks.size(), RankWatch{.heard = now});
  live.attempt_start = now;
  live.progress.Restore(live.run.job.progress(), stored.recent_steps);
  live.counted_from = live.run.job.progress();
  for (const Placement& rank : live.run.ranks) {
    if (!rank.gone) workers_.Expect(rank.worker_id, now);
  }
  const JobState state = live.run.state();
  const bool being_stopped = state == JobState::kPausing || state == JobState::kRestarting;
  if (state == JobState::kRunning || (being_stopped && !live.run.ranks.empty())) {
    for (size_t rank = 0; rank < live.watches.size(); ++rank) live.watches[rank].ready = true;
    const absl::Status planned = RecoverPlanner(live, stored.sensitivities);
    // One job's fault keeps no other from being served.
    if (!planned.ok()) {
      return Apply(live, PromiseBroken{absl::StrCat("The plan of this running job cannot be made "
                                                    "again: ",
                                                    planned.message())});
    }
  }
  return SettleRecovered(live);
}

absl::Status Coordinator::RecoverPlanner(LiveRun& live,
                                         const std::vector<v1::Sensitivities>& sensitivities) {
  ASSIGN_OR_RETURN(live.planner,
                   JobPlanner::Make(live.run.spec, *live.run.shape, live.run.job.dataset_report(),
                                    options_.block_steps));
  for (const v1::Sensitivities& found : sensitivities) {
    RETURN_IF_ERROR(live.planner->AddSensitivities(found).status());
  }
  live.planner->Advance(live.run.job.progress().step());
  return absl::OkStatus();
}

absl::Status Coordinator::SettleRecovered(LiveRun& live) {
  switch (live.run.state()) {
    case JobState::kPreparing:
      return Apply(live, Requeued{"The coordinator restarted."});
    case JobState::kStarting:
      return Apply(live, RendezvousLost{});
    case JobState::kCancelling:
    case JobState::kPausing:
      return Apply(live, RanksLost{});  // goes on if no rank is left to wait for
    default:
      return absl::OkStatus();
  }
}

}  // namespace dropbp::server
