// Coordinator: an agent comes, comes back, or is lost. A hello lists the trainers that live, so it
// settles what frames were lost with an older stream.
#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "proto/support/grpc_status.h"
#include "server/run/coordinator.h"

namespace dropbp::server {
namespace {

bool Lists(const KnownWorker& worker, const v1::Job& job, int rank) {
  for (const auto& [slot, use] : worker.uses) {
    if (use.job_id == job.job_id() && use.attempt == job.attempt() && use.rank == rank) return true;
  }
  return false;
}

}  // namespace

absl::Status Coordinator::OnHello(const std::shared_ptr<WorkerOutbox>& outbox,
                                  const v1::WorkerHello& hello) {
  if (hello.worker_id().empty()) {
    const FieldViolation violation{"hello.worker_id", "found an empty name"};
    return InvalidFields({&violation, 1});
  }
  KnownWorker* before = workers_.Find(hello.worker_id());
  // Two programs under one name would take the session from each other for ever. One that died has
  // closed its stream, or lets its lease run out.
  if (before != nullptr && before->connected() &&
      before->hello.incarnation() != hello.incarnation()) {
    return absl::AlreadyExistsError(absl::StrCat(
        "another worker named '", hello.worker_id(), "' is connected, from host '",
        before->hello.hostname(), "'; give each its own --worker-id, or stop that one"));
  }
  if (before != nullptr && !before->preparing.empty() &&
      before->hello.incarnation() != hello.incarnation()) {
    RETURN_IF_ERROR(LoseWorker(hello.worker_id(),
                               absl::StrCat("Worker '", hello.worker_id(), "' was restarted.")));
  }
  KnownWorker& worker = workers_.Hello(hello, outbox, clock_.Now());
  spdlog::info("worker {} on {} connected: {} slots, {} live ranks", worker.id(), hello.hostname(),
               hello.slots_size(), hello.ranks_size());
  v1::SessionResponse frame;
  frame.mutable_welcome()->set_lease_seconds(absl::ToDoubleSeconds(options_.lease));
  frame.mutable_welcome()->set_heartbeat_seconds(absl::ToDoubleSeconds(options_.heartbeat));
  frame.mutable_welcome()->set_acknowledged(worker.acknowledged);
  outbox->Send(std::move(frame));
  // A check that nobody waits for any more may never be answered.
  const LiveRun* checked = FindRun(worker.preparing);
  if (checked == nullptr || checked->preparer != worker.id()) worker.preparing.clear();
  for (auto& [job_id, live] : runs_) RETURN_IF_ERROR(ReconcileRun(live, worker));
  StopStrangers(worker);
  return hello.has_draining() ? OnDraining(worker, hello.draining()) : absl::OkStatus();
}

void Coordinator::StopStrangers(KnownWorker& worker) {
  for (auto& [slot, use] : worker.uses) {
    const LiveRun* live = FindRun(use.job_id);
    const bool wanted = live != nullptr && live->run.Active() &&
                        live->run.job.attempt() == use.attempt &&
                        use.rank < static_cast<int>(live->run.ranks.size()) &&
                        live->run.ranks[static_cast<size_t>(use.rank)].worker_id == worker.id();
    if (wanted || use.told_to_stop) continue;
    use.told_to_stop = true;
    // Its stream broke while it was saving.
    const bool pausing = live != nullptr && live->run.state() == JobState::kPausing &&
                         live->run.job.attempt() == use.attempt;
    v1::SessionResponse frame;
    frame.mutable_stop_ranks()->set_job_id(use.job_id);
    frame.mutable_stop_ranks()->set_attempt(use.attempt);
    frame.mutable_stop_ranks()->set_reason(pausing ? "The job is being paused."
                                                   : "This attempt is over.");
    frame.mutable_stop_ranks()->set_grace_seconds(pausing ? absl::ToDoubleSeconds(kPauseGrace) : 1);
    frame.mutable_stop_ranks()->set_save_checkpoint(pausing);
    workers_.Send(worker.id(), std::move(frame));
  }
}

absl::Status Coordinator::ReconcileRun(LiveRun& live, const KnownWorker& worker) {
  if (live.run.state() == JobState::kPreparing && live.preparer == worker.id()) {
    ASSIGN_OR_RETURN(v1::SessionResponse order, PrepareOrder(live));
    workers_.Send(worker.id(), std::move(order));
  }
  RanksLost lost{.ranks = {}, .why = absl::StrCat("Worker '", worker.id(), "' was restarted.")};
  for (size_t i = 0; i < live.run.ranks.size(); ++i) {
    const int rank = static_cast<int>(i);
    const Placement& placement = live.run.ranks[i];
    if (placement.worker_id != worker.id() || placement.gone) continue;
    if (Lists(worker, live.run.job, rank)) {
      ResendTo(live, rank);
    } else if (placement.incarnation != worker.hello.incarnation()) {
      lost.ranks.push_back(rank);
    } else {
      live.watches[i].missing_since = clock_.Now();
    }
  }
  return lost.ranks.empty() ? absl::OkStatus() : Apply(live, lost);
}

void Coordinator::ResendTo(LiveRun& live, int rank) {
  RankWatch& watch = live.watches[static_cast<size_t>(rank)];
  watch.heard = clock_.Now();
  watch.missing_since = absl::InfiniteFuture();
  for (const v1::KvResponse& answer : watch.answers) {
    v1::TrainerCommand command;
    *command.mutable_kv() = answer;
    SendCommand(live, rank, std::move(command));
  }
  watch.masks_until = live.run.ranks[static_cast<size_t>(rank)].last_step + 1;
  PumpMasks(live);
}

absl::Status Coordinator::LoseWorker(const std::string& worker_id, const std::string& why) {
  KnownWorker* worker = workers_.Find(worker_id);
  if (worker != nullptr && worker->connected()) worker->outbox->Close(absl::AbortedError(why));
  for (auto& [job_id, live] : runs_) {
    if (live.run.state() == JobState::kPreparing && live.preparer == worker_id) {
      RETURN_IF_ERROR(Apply(live, Requeued{why}));
      live.preparer.clear();
    }
    RanksLost lost{.ranks = {}, .why = why};
    for (size_t rank = 0; rank < live.run.ranks.size(); ++rank) {
      const Placement& placement = live.run.ranks[rank];
      if (placement.worker_id == worker_id && !placement.gone) {
        lost.ranks.push_back(static_cast<int>(rank));
      }
    }
    if (!lost.ranks.empty()) RETURN_IF_ERROR(Apply(live, lost));
  }
  workers_.Remove(worker_id);
  return absl::OkStatus();
}

void Coordinator::Disconnected(const WorkerOutbox* outbox) {
  absl::MutexLock lock(&mutex_);
  const KnownWorker* worker = workers_.FindByOutbox(outbox);
  if (worker == nullptr) return;
  spdlog::info("worker {} disconnected", worker->id());
  workers_.Disconnected(outbox);
}

}  // namespace dropbp::server
