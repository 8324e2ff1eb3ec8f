// Coordinator: applying the run state machine, and talking to gangs.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "server/run/coordinator.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

// Masks are sent so many blocks ahead of their use.
constexpr int64_t kBlocksAhead = 4;

}  // namespace

LiveRun* Coordinator::FindRun(const std::string& job_id) {
  const auto found = runs_.find(job_id);
  if (found == runs_.end() || IsTerminal(found->second.run.state())) return nullptr;
  return &found->second;
}

LiveRun* Coordinator::FindRank(const KnownWorker& worker, const std::string& job_id, int attempt,
                               int rank) {
  LiveRun* live = FindRun(job_id);
  if (live == nullptr || live->run.job.attempt() != attempt || rank < 0 ||
      rank >= static_cast<int>(live->run.ranks.size())) {
    return nullptr;
  }
  const Placement& placement = live->run.ranks[static_cast<size_t>(rank)];
  if (placement.worker_id != worker.id() || placement.gone) return nullptr;
  live->watches[static_cast<size_t>(rank)].missing_since = absl::InfiniteFuture();
  return live;
}

absl::Status Coordinator::Apply(LiveRun& live, const RunEvent& event) {
  Reaction reaction = React(live.run, event, clock_.Now());
  if (!reaction.changed) return absl::OkStatus();
  reaction.change.steps = live.unsaved_steps;
  RETURN_IF_ERROR(store_->Apply(reaction.change));
  live.unsaved_steps.clear();
  live.dirty = false;
  if (reaction.stop) SendStop(live.run, *reaction.stop);
  const v1::Job before = std::move(live.run.job);
  live.run = std::move(reaction.next);
  live.run.job = reaction.change.job;
  Observe(before, live);
  if (live.run.ranks.empty()) live.watches.clear();
  for (const v1::JobEvent& happened : reaction.change.events) {
    // A trainer's last lines are in its log.
    const std::string_view message = happened.message();
    spdlog::info("job {} attempt {}: {}: {}", live.run.job.job_id(), happened.attempt(),
                 v1::Job::State_Name(happened.state()), message.substr(0, message.find('\n')));
    Notify(live, happened);
  }
  return absl::OkStatus();
}

void Coordinator::Observe(const v1::Job& before, const LiveRun& live) {
  const JobState from = static_cast<JobState>(before.state());
  const JobState to = live.run.state();
  if (from == to) return;
  if (from == JobState::kStarting && to == JobState::kRunning) {
    options_.observer->OnTraining(clock_.Now() - live.attempt_start);
  }
  if (to == JobState::kRestarting) {
    options_.observer->OnRestart(live.run.job.restarts() > before.restarts());
  }
  if (IsTerminal(to)) options_.observer->OnEnd(to);
}

void Coordinator::ApplyOrLog(LiveRun& live, const RunEvent& event) {
  const absl::Status status = Apply(live, event);
  if (!status.ok()) spdlog::error("job {}: {}", live.run.job.job_id(), status.ToString());
}

void Coordinator::Notify(LiveRun& live, const v1::JobEvent& event) {
  for (const auto& watcher : live.watchers) watcher->OnEvent(event);
}

void Coordinator::SendStop(const Run& gang, const StopGang& stop) {
  std::set<std::string> told;
  for (const Placement& rank : gang.ranks) {
    if (!told.insert(rank.worker_id).second) continue;
    workers_.NoteStop(rank.worker_id, gang.job.job_id(), gang.job.attempt());
    v1::SessionResponse frame;
    v1::StopRanks* order = frame.mutable_stop_ranks();
    order->set_job_id(gang.job.job_id());
    order->set_attempt(gang.job.attempt());
    order->set_reason(stop.reason);
    order->set_grace_seconds(absl::ToDoubleSeconds(stop.grace));
    order->set_save_checkpoint(stop.save_checkpoint);
    workers_.Send(rank.worker_id, std::move(frame));
  }
}

void Coordinator::SendCommand(const LiveRun& live, int rank, v1::TrainerCommand command) {
  v1::SessionResponse frame;
  v1::RankCommand* order = frame.mutable_rank_command();
  order->set_job_id(live.run.job.job_id());
  order->set_attempt(live.run.job.attempt());
  order->set_rank(rank);
  *order->mutable_command() = std::move(command);
  workers_.Send(live.run.ranks[static_cast<size_t>(rank)].worker_id, std::move(frame));
}

void Coordinator::PumpMasks(LiveRun& live) {
  if (!live.run.Active() || !live.planner) return;
  for (size_t rank = 0; rank < live.watches.size(); ++rank) {
    RankWatch& watch = live.watches[rank];
    const int64_t wanted = live.run.ranks[rank].last_step + 1 + kBlocksAhead * options_.block_steps;
    if (!watch.ready || watch.masks_until >= wanted) continue;
    const std::optional<v1::MaskBlock> block = live.planner->BlockAt(watch.masks_until);
    if (!block) continue;
    v1::TrainerCommand command;
    *command.mutable_mask_block() = *block;
    SendCommand(live, static_cast<int>(rank), std::move(command));
    watch.masks_until = block->first_step() + block->steps();
  }
}

void Coordinator::RemoveEnded() {
  bool let_go = false;  // of a checkpoint that it began from
  for (auto it = runs_.begin(); it != runs_.end();) {
    if (!IsTerminal(it->second.run.state())) {
      ++it;
      continue;
    }
    for (const auto& watcher : it->second.watchers) watcher->OnEnd(absl::OkStatus());
    let_go |= !it->second.run.spec.init_from.empty();
    it = runs_.erase(it);
  }
  if (let_go) DeleteUnused();
}

}  // namespace dropbp::server
