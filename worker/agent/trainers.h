// All trainers of this node, and the slots they take.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "worker/agent/checkpoint_cache.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/options.h"
#include "worker/agent/task_group.h"
#include "worker/agent/trainer_run.h"

namespace dropbp::agent {

// A trainer whose process runs.
struct RunningTrainer {
  RankKey key;
  int slot = 0;
  pid_t pid = 0;
};

// Carries out the coordinator's orders about trainers; none of its methods but StopAll() waits for
// anything slow. Fencing: what belongs to an attempt older than the newest one seen of its job is
// refused, and a newer attempt ends the older one's trainers. A slot has one trainer at a time.
// Thread-safe.
class Trainers {
 public:
  Trainers(const AgentOptions& options, std::vector<Slot> slots, TrainerHost& host,
           DatasetCache& datasets, const CheckpointCache& checkpoints);
  // Kills what still runs.
  ~Trainers();

  // Starts the ranks that were not started before; each start that fails is told by
  // RankExited.start_error.
  void Start(const v1::StartRanks& request);
  // Stops trainers; for those that are gone nothing is said again.
  void Stop(const v1::StopRanks& request);
  // Relays a command; ignored if there is no such trainer.
  void Deliver(const v1::RankCommand& command);
  // Stops all trainers, refuses new ones, and waits until all have ended.
  void StopAll(const std::string& reason, absl::Duration grace, bool save_checkpoint);

  std::vector<v1::LiveRank> LiveRanks();
  std::vector<RunningTrainer> Running();
  const std::vector<Slot>& slots() const { return slots_; }
  // The slots as hello tells them.
  std::vector<v1::DeviceSlot> DescribeSlots();
  // The live run with this token; null if there is none.
  std::shared_ptr<TrainerRun> FindByToken(const std::string& token);

 private:
  using Run = std::shared_ptr<TrainerRun>;

  // Whether an order is about a legal job and not older than what was seen; a newer attempt is then
  // in force.
  bool Accept(const std::string& job_id, int attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A run for a rank that was not placed before; null otherwise.
  Run Place(const v1::StartRanks& request, const v1::RankPlacement& placement)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Stops a job's trainers up to an attempt.
  void StopUpTo(const std::string& job_id, int attempt, const std::string& reason,
                absl::Duration grace, bool save_checkpoint) ABSL_LOCKS_EXCLUDED(mutex_);
  // Forgets runs that have ended.
  void CollectEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnEnded(const RankKey& key);

  // On a thread of its own: data, checkpoint, slots, processes.
  void Launch(const v1::StartRanks& request, const std::vector<Run>& runs);
  absl::StatusOr<v1::Assignment> PrepareAssignment(const v1::StartRanks& request);
  absl::Status LaunchRun(v1::Assignment assignment, TrainerRun& run);
  // Waits until the slot is free and takes it; an error says who holds it.
  absl::Status TakeSlot(const TrainerRun& run);

  const AgentOptions& options_;
  const std::vector<Slot> slots_;
  TrainerHost& host_;
  DatasetCache& datasets_;
  const CheckpointCache& checkpoints_;
  CancelToken stopping_;

  absl::Mutex mutex_;
  std::map<std::string, int> newest_attempt_ ABSL_GUARDED_BY(mutex_);  // by job
  std::set<RankKey> placed_
      ABSL_GUARDED_BY(mutex_);  // ranks of newest attempts that ever had a run
  std::map<RankKey, Run> runs_ ABSL_GUARDED_BY(mutex_);
  std::set<RankKey> live_ ABSL_GUARDED_BY(mutex_);            // runs that have not ended
  std::map<int, RankKey> occupants_ ABSL_GUARDED_BY(mutex_);  // by slot
  bool refuse_ ABSL_GUARDED_BY(mutex_) = false;

  TaskGroup launches_;  // last: its tasks use all of the above
};

}  // namespace dropbp::agent
