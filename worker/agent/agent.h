// The worker agent: its parts, put together.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/agent/artifact_client.h"
#include "worker/agent/channel.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/link_server.h"
#include "worker/agent/options.h"
#include "worker/agent/preparer.h"
#include "worker/agent/session.h"
#include "worker/agent/spawner.h"
#include "worker/agent/trainer_ends.h"
#include "worker/agent/trainers.h"
#include "worker/agent/work_folder.h"

namespace dropbp::agent {

// How the agent does, for its metrics.
struct AgentStatus {
  SessionStats session;
  std::vector<RunningTrainer> trainers;
  std::map<std::string, int64_t> ended;  // trainers that ended, by how (trainer_ends.h)
  size_t models = 0;
};

// Runs from Create() to Stop(); all work happens on its threads.
class Agent {
 public:
  // Takes the work folder, finds devices, listens for trainers and begins to connect to the
  // coordinator. `program` is the path of dropbp-worker, which checks of jobs are run with.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(const AgentOptions& options,
                                                       const std::string& program);
  // Kills what still runs.
  ~Agent();

  // a. Tells the coordinator that this worker takes no more work; it stops gangs that have a rank
  //    here on all of their workers, which ends them between two steps.
  // b. Stops what still runs, within the grace of the options counted from the call.
  // c. Tells the coordinator how each trainer ended.
  void Stop();

  AgentStatus Status();
  const AgentOptions& options() const { return options_; }
  const std::vector<Slot>& slots() const { return trainers_.slots(); }

 private:
  Agent(const AgentOptions& options, const std::string& program, std::vector<Slot> slots,
        std::unique_ptr<WorkFolder> folder);
  v1::WorkerDraining Draining() const;
  v1::WorkerHello Hello();
  void CarryOut(const v1::SessionResponse& order);

  const AgentOptions options_;
  const uint64_t incarnation_;
  const CoordinatorEndpoint coordinator_;
  std::atomic<bool> draining_ = false;
  const std::unique_ptr<WorkFolder> folder_;
  Spawner spawner_;
  ArtifactClient artifacts_;
  DatasetCache datasets_;
  const CheckpointCache checkpoints_;
  TrainerEnds ends_;
  CoordinatorSession session_;
  TrainerHost host_;
  LinkServer link_server_;
  Preparer preparer_;
  Trainers trainers_;
};

}  // namespace dropbp::agent
