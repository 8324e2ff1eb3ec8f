#include "server/schedule/scheduler.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dropbp::server {
namespace {

const char* KindName(DeviceKind kind) { return kind == DeviceKind::kCpu ? "cpu" : "cuda"; }

bool HasModel(const PoolWorker& worker, const std::string& model) {
  return std::find(worker.models.begin(), worker.models.end(), model) != worker.models.end();
}

int FreeSlots(const PoolWorker& worker, DeviceKind kind) {
  return static_cast<int>(
      std::count_if(worker.slots.begin(), worker.slots.end(),
                    [kind](const PoolSlot& slot) { return slot.kind == kind && !slot.busy; }));
}

// The kinds that a job may run on, the preferred one first.
std::vector<DeviceKind> KindsOf(const WaitingJob& job) {
  if (job.device == "cpu") return {DeviceKind::kCpu};
  if (job.device == "cuda") return {DeviceKind::kCuda};
  return {DeviceKind::kCuda, DeviceKind::kCpu};
}

// One round: the pool as it is after the decisions made so far.
class Round {
 public:
  explicit Round(std::vector<PoolWorker> pool) {
    for (PoolWorker& worker : pool) {
      if (worker.draining) {
        draining_.push_back(worker.worker_id);
      } else {
        pool_.push_back(std::move(worker));
      }
    }
  }

  void Visit(const WaitingJob& job) {
    std::string reason = job.prepared ? TryPlace(job) : TryPrepare(job);
    if (reason.empty()) return;
    result_.queue.push_back(job.job_id);
    result_.pending_reason[job.job_id] = std::move(reason);
  }

  Schedule Finish() { return std::move(result_); }

 private:
  struct Capacity {
    int free = 0;
    int all = 0;
  };

  // Each of these returns why the job goes on waiting; empty if a decision was made.
  std::string TryPrepare(const WaitingJob& job);
  std::string TryPlace(const WaitingJob& job);

  Capacity CapacityFor(const WaitingJob& job, DeviceKind kind) const;
  std::vector<RankSlot> TakeSlots(const WaitingJob& job, DeviceKind kind);
  std::string NoWorker(const WaitingJob& job) const;
  std::string TooFewSlots(const WaitingJob& job) const;
  // The reason, and which workers could end the wait if they were not drained.
  std::string NameDraining(const std::string& reason) const;

  std::vector<PoolWorker> pool_;                // of workers that take work
  std::vector<std::string> draining_;           // ids of the others
  std::map<DeviceKind, std::string> held_for_;  // kind -> job that waits for it
  Schedule result_;
};

std::string Round::TryPrepare(const WaitingJob& job) {
  bool has_model = false;
  for (PoolWorker& worker : pool_) {
    if (!HasModel(worker, job.model)) continue;
    has_model = true;
    if (worker.preparing) continue;
    worker.preparing = true;
    result_.decisions.push_back({.kind = Decision::Kind::kPrepare,
                                 .job_id = job.job_id,
                                 .worker_id = worker.worker_id,
                                 .ranks = {}});
    return "";
  }
  if (!has_model) return NameDraining(NoWorker(job));
  return "waits until a worker has checked the data of an earlier job";
}

std::string Round::TryPlace(const WaitingJob& job) {
  std::string blocker;
  for (DeviceKind kind : KindsOf(job)) {
    if (held_for_.count(kind) > 0) {
      if (CapacityFor(job, kind).all >= job.ranks) blocker = held_for_[kind];
      continue;
    }
    if (CapacityFor(job, kind).free < job.ranks) continue;
    result_.decisions.push_back({.kind = Decision::Kind::kPlace,
                                 .job_id = job.job_id,
                                 .worker_id = "",
                                 .ranks = TakeSlots(job, kind)});
    return "";
  }
  for (DeviceKind kind : KindsOf(job)) {
    if (CapacityFor(job, kind).all >= job.ranks) held_for_.emplace(kind, job.job_id);
  }
  if (!blocker.empty()) return absl::StrCat("waits behind job '", blocker, "'");
  const bool has_model = std::any_of(pool_.begin(), pool_.end(), [&](const PoolWorker& worker) {
    return HasModel(worker, job.model);
  });
  return NameDraining(has_model ? TooFewSlots(job) : NoWorker(job));
}

Round::Capacity Round::CapacityFor(const WaitingJob& job, DeviceKind kind) const {
  Capacity capacity;
  for (const PoolWorker& worker : pool_) {
    if (!HasModel(worker, job.model)) continue;
    capacity.free += FreeSlots(worker, kind);
    for (const PoolSlot& slot : worker.slots) capacity.all += slot.kind == kind;
  }
  return capacity;
}

std::vector<RankSlot> Round::TakeSlots(const WaitingJob& job, DeviceKind kind) {
  std::vector<PoolWorker*> workers;
  for (PoolWorker& worker : pool_) {
    if (HasModel(worker, job.model)) workers.push_back(&worker);
  }
  std::stable_sort(workers.begin(), workers.end(), [kind](const auto* a, const auto* b) {
    return FreeSlots(*a, kind) > FreeSlots(*b, kind);
  });
  std::vector<RankSlot> taken;
  for (PoolWorker* worker : workers) {
    for (PoolSlot& slot : worker->slots) {
      if (static_cast<int>(taken.size()) == job.ranks) return taken;
      if (slot.kind != kind || slot.busy) continue;
      slot.busy = true;
      taken.push_back({worker->worker_id, slot.index});
    }
  }
  return taken;
}

std::string Round::NoWorker(const WaitingJob& job) const {
  if (pool_.empty()) return draining_.empty() ? "no worker is connected" : "no worker is in use";
  std::vector<std::string> models;
  for (const PoolWorker& worker : pool_) {
    models.insert(models.end(), worker.models.begin(), worker.models.end());
  }
  std::sort(models.begin(), models.end());
  models.erase(std::unique(models.begin(), models.end()), models.end());
  return absl::StrCat("no connected worker has model '", job.model, "'; connected workers have: ",
                      models.empty() ? "none" : absl::StrJoin(models, ", "));
}

std::string Round::TooFewSlots(const WaitingJob& job) const {
  std::vector<std::string> found;
  for (DeviceKind kind : KindsOf(job)) {
    const Capacity capacity = CapacityFor(job, kind);
    // Who said "any" is told about the kinds that are there.
    if (job.device == "any" && capacity.all == 0 && kind == DeviceKind::kCuda) continue;
    found.push_back(absl::StrCat("needs ", job.ranks, " ", KindName(kind), " slots, ",
                                 capacity.free, " free of ", capacity.all, " in the pool"));
  }
  return absl::StrJoin(found, "; ");
}

std::string Round::NameDraining(const std::string& reason) const {
  if (draining_.empty()) return reason;
  return absl::StrCat(reason, "; waiting for another worker, since these are being drained: ",
                      absl::StrJoin(draining_, ", "));
}

}  // namespace

Schedule MakeSchedule(std::vector<WaitingJob> jobs, std::vector<PoolWorker> pool) {
  std::sort(jobs.begin(), jobs.end(), [](const WaitingJob& a, const WaitingJob& b) {
    return std::make_tuple(-a.priority, a.create_order) <
           std::make_tuple(-b.priority, b.create_order);
  });
  std::sort(pool.begin(), pool.end(),
            [](const PoolWorker& a, const PoolWorker& b) { return a.worker_id < b.worker_id; });
  Round round(std::move(pool));
  for (const WaitingJob& job : jobs) round.Visit(job);
  return round.Finish();
}

}  // namespace dropbp::server
