// Coordinator: what happens because time passes.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/run/coordinator.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

// A pause of the coordinator itself (a stopped process, a sleeping machine) is no silence of
// others.
constexpr absl::Duration kLongestTickGap = absl::Seconds(5);

}  // namespace

void Coordinator::Tick() {
  absl::MutexLock lock(&mutex_);
  const absl::Time now = clock_.Now();
  if (now - last_tick_ > kLongestTickGap) ForgivePause(now - last_tick_);
  last_tick_ = now;
  DropLostWorkers(now);
  for (auto& [job_id, live] : runs_) {
    if (live.run.cause_search.open()) ApplyOrLog(live, TimePassed{});
    DropMissingRanks(live, now);
    CheckStall(live, now);
    PumpMasks(live);
  }
  if (now - last_flush_ >= options_.flush_interval) {
    FlushAndAcknowledge();
    last_flush_ = now;
  }
  RunSchedule();
}

void Coordinator::ForgivePause(absl::Duration pause) {
  spdlog::warn("the coordinator was not running for {}", absl::FormatDuration(pause));
  workers_.Forgive(pause);
  for (auto& [job_id, live] : runs_) {
    live.attempt_start += pause;
    live.run.cause_search.Forgive(pause);
    for (RankWatch& watch : live.watches) {
      watch.heard += pause;
      watch.missing_since += pause;
    }
  }
}

void Coordinator::DropLostWorkers(absl::Time now) {
  for (const std::string& worker_id : workers_.Expired(now, options_.lease)) {
    std::string why = absl::StrCat("Worker '", worker_id, "' was stopped.");
    if (workers_.Find(worker_id)->left()) {
      spdlog::info("{}", why);
    } else {
      why = absl::StrCat("Worker '", worker_id, "' was not heard for ",
                         absl::FormatDuration(options_.lease), " and counts as lost.");
      spdlog::warn("{}", why);
      options_.observer->OnWorkerLost();
    }
    const absl::Status status = LoseWorker(worker_id, why);
    if (!status.ok()) spdlog::error("{}", status.ToString());
  }
}

void Coordinator::DropMissingRanks(LiveRun& live, absl::Time now) {
  RanksLost lost;
  for (size_t rank = 0; rank < live.watches.size(); ++rank) {
    if (now - live.watches[rank].missing_since <= options_.lease || live.run.ranks[rank].gone) {
      continue;
    }
    lost.ranks.push_back(static_cast<int>(rank));
    lost.why = absl::StrCat("Worker '", live.run.ranks[rank].worker_id, "' no longer has rank ",
                            rank, ".");
  }
  if (!lost.ranks.empty()) ApplyOrLog(live, lost);
}

void Coordinator::CheckStall(LiveRun& live, absl::Time now) {
  if (!live.run.Active()) return;
  for (const Placement& rank : live.run.ranks) {
    // Reports may be waiting at an agent that cannot reach us; its lease decides.
    const KnownWorker* worker = workers_.Find(rank.worker_id);
    if (worker == nullptr || !worker->connected()) return;
  }
  if (const std::string why = StallOf(live, now); !why.empty()) ApplyOrLog(live, Stalled{why});
}

// How long an evaluation and the step after it may take: each of its passes as long as a step, and
// no less than a start where it is the first thing that an attempt does.
absl::Duration Coordinator::EvaluationLimit(const LiveRun& live, absl::Duration limit,
                                            absl::Duration step) const {
  const int64_t held_out = live.run.job.dataset_report().validation_samples();
  limit += options_.stall_factor * step * EvaluationPasses(live.run.spec, held_out);
  const bool comes_first = live.progress.MedianStepSeconds() == 0;
  return comes_first ? std::max(limit, options_.start_timeout) : limit;
}

std::string Coordinator::StallOf(const LiveRun& live, absl::Time now) {
  std::vector<int> silent;
  if (live.run.state() == JobState::kStarting) {
    if (now - live.attempt_start <= options_.start_timeout) return "";
    for (size_t rank = 0; rank < live.watches.size(); ++rank) {
      if (!live.watches[rank].ready) silent.push_back(static_cast<int>(rank));
    }
    return absl::StrCat("The ranks did not meet within ",
                        absl::FormatDuration(options_.start_timeout),
                        "; not ready: ", absl::StrJoin(silent, ", "), ".");
  }
  if (live.run.StoppedEarly()) return "";  // the results come, as after the last step
  // An attempt that has made no step yet is taken to be as fast as the one before.
  const double median = live.progress.MedianStepSeconds();
  const absl::Duration step = absl::Seconds(median > 0 ? median : live.step_seconds_before);
  int64_t behind = live.progress.progress().total_steps();
  for (size_t rank = 0; rank < live.watches.size(); ++rank) {
    const int64_t next = live.run.ranks[rank].last_step + 1;
    // After the last step come the results, which may take long to write and upload.
    if (next >= live.progress.progress().total_steps()) continue;
    absl::Duration limit = std::max(options_.stall_min, options_.stall_factor * step);
    if (live.run.Evaluations().IsDue(next)) limit = EvaluationLimit(live, limit, step);
    // The probe is one pass for nothing dropped and one for each unit.
    if (live.planner && live.planner->ProbesBefore(next)) limit *= live.planner->units() + 1;
    if (now - live.watches[rank].heard <= limit || next > behind) continue;
    if (next < behind) silent.clear();
    behind = next;
    silent.push_back(static_cast<int>(rank));
  }
  if (silent.empty()) return "";
  return absl::StrCat(
      silent.size() == 1 ? "Rank " : "Ranks ", absl::StrJoin(silent, ", "),
      " made no progress for ",
      absl::FormatDuration(
          absl::Trunc(now - live.watches[static_cast<size_t>(silent[0])].heard, absl::Seconds(1))),
      ", waiting for step ", behind, ".");
}

absl::Status Coordinator::Flush() {
  std::vector<JobChange> changes;
  for (auto& [job_id, live] : runs_) {
    if (!live.dirty) continue;
    JobChange& change = changes.emplace_back();
    change.job = live.run.job;
    change.placements = live.run.ranks;
    change.steps = live.unsaved_steps;
  }
  if (changes.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(store_->ApplyAll(absl::MakeSpan(changes)));
  for (auto& [job_id, live] : runs_) {
    live.dirty = false;
    live.unsaved_steps.clear();
  }
  return absl::OkStatus();
}

void Coordinator::FlushAndAcknowledge() {
  if (const absl::Status status = Flush(); !status.ok()) {
    spdlog::error("{}", status.ToString());
    return;  // agents keep what is not durable
  }
  for (auto& [worker_id, worker] : workers_.all()) {
    if (!worker.connected() || worker.acknowledged == worker.taken_in) continue;
    worker.acknowledged = worker.taken_in;
    v1::SessionResponse frame;
    frame.set_acknowledged(worker.acknowledged);
    worker.outbox->Send(std::move(frame));
  }
}

CoordinatorSnapshot Coordinator::Snapshot(size_t max_running) {
  absl::MutexLock lock(&mutex_);
  CoordinatorSnapshot snapshot;
  snapshot.now = clock_.Now();
  if (auto counts = store_->CountByState(); counts.ok()) snapshot.jobs = *std::move(counts);
  snapshot.workers = workers_.Describe();
  for (const auto& [job_id, live] : runs_) {
    if (live.run.state() != JobState::kQueued) continue;
    snapshot.oldest_wait =
        std::max(snapshot.oldest_wait, snapshot.now - FromProto(live.run.job.create_time()));
  }
  SnapshotRuns(max_running, snapshot);
  return snapshot;
}

void Coordinator::SnapshotRuns(size_t max_running, CoordinatorSnapshot& snapshot) {
  std::vector<const LiveRun*> running;
  for (const auto& [job_id, live] : runs_) {
    const bool between_attempts =
        live.run.state() == JobState::kRestarting || live.run.state() == JobState::kPausing;
    if (live.run.Active() || between_attempts) running.push_back(&live);
  }
  // A job that has series keeps them, whatever is created after it.
  std::sort(running.begin(), running.end(),
            [](const auto* a, const auto* b) { return a->create_order < b->create_order; });
  for (const LiveRun* live : running) {
    if (snapshot.running.size() == max_running) {
      ++snapshot.running_left_out;
      continue;
    }
    RunSnapshot& run = snapshot.running.emplace_back();
    run.job = live->run.job;
    run.counted_from = live->counted_from;
    run.newest_step = live->progress.NewestStep();
    run.non_finite_steps = live->non_finite_steps;
    for (const RankWatch& watch : live->watches) {
      run.rank_compute_seconds.push_back(watch.compute_seconds);
    }
  }
}

void Coordinator::Shutdown() {
  absl::MutexLock lock(&mutex_);
  FlushAndAcknowledge();
  const absl::Status stopping = absl::UnavailableError("the coordinator is stopping");
  for (auto& [worker_id, worker] : workers_.all()) {
    if (worker.connected()) worker.outbox->Close(stopping);
  }
  for (auto& [job_id, live] : runs_) {
    for (const auto& watcher : live.watchers) watcher->OnEnd(stopping);
    live.watchers.clear();
  }
}

}  // namespace dropbp::server
