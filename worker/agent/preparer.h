// Checks a job's model and data before any device is taken: the agent's side.
#pragma once

#include <set>
#include <string>

#include "dropbp/v1/worker_gateway.pb.h"
#include "worker/agent/checkpoint_cache.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/options.h"
#include "worker/agent/spawner.h"
#include "worker/agent/task_group.h"
#include "worker/agent/trainer_run.h"

namespace dropbp::agent {

// Fetches the job's data and the result to begin from, then runs `<program> prepare` in a child
// process, so that a hostile file ends only the child. Two checks at a time; none blocks the
// caller. Thread-safe.
class Preparer {
 public:
  // `program` is this program's own path.
  Preparer(const AgentOptions& options, std::string program, Spawner& spawner,
           DatasetCache& datasets, const CheckpointCache& checkpoints, SendFrame send);
  ~Preparer() { Stop(); }

  // Answers with a prepare_result frame. The same job is checked once at a time; a repeated order
  // is ignored meanwhile.
  void Prepare(const v1::PrepareJob& job);

  // Ends running checks and refuses new ones; they are not answered.
  void Stop() { stopping_.Cancel(); }

 private:
  v1::PrepareResult Check(const v1::PrepareJob& job);
  absl::StatusOr<v1::PrepareResult> RunCheck(const v1::PrepareJob& job);

  const AgentOptions& options_;
  const std::string program_;
  Spawner& spawner_;
  DatasetCache& datasets_;
  const CheckpointCache& checkpoints_;
  const SendFrame send_;
  CancelToken stopping_;
  absl::Mutex mutex_;
  std::set<std::string> running_ ABSL_GUARDED_BY(mutex_);  // jobs
  TaskGroup checks_{2};                                    // last: its tasks use all of the above
};

}  // namespace dropbp::agent
