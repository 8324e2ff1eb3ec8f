// Hands a trainer's checkpoint parts to the coordinator while the trainer goes on.
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "worker/agent/artifact_client.h"
#include "worker/agent/checkpoint_cache.h"
#include "worker/agent/trainer_run.h"

namespace dropbp::agent {

// One upload at a time. Where parts come faster than they can be uploaded (the coordinator may be
// away), the newest one waits and takes the place of the one that waited before. Each part that is
// uploaded, or cannot be, is told in a rank_checkpoint frame. Thread-safe.
class CheckpointUploader {
 public:
  // All that is passed outlives it. `world_size`: of the run's attempt.
  CheckpointUploader(const TrainerRun& run, int world_size, const WorkFolder& folder,
                     const ArtifactClient& artifacts, const CheckpointCache& cache,
                     const SendFrame& send);
  // Returns when all is uploaded, or given up because the run's transfers are cancelled.
  ~CheckpointUploader();

  void Add(v1::TrainerCheckpoint checkpoint);

 private:
  void Run();
  // The part as uploaded, or with the reason why it is not.
  v1::TrainerCheckpoint Upload(v1::TrainerCheckpoint checkpoint) const;
  absl::StatusOr<v1::Artifact> UploadFile(const v1::TrainerCheckpoint& checkpoint) const;
  void Send(v1::TrainerCheckpoint checkpoint) const;

  const TrainerRun& run_;
  const int world_size_;
  const WorkFolder& folder_;
  const ArtifactClient& artifacts_;
  const CheckpointCache& cache_;
  const SendFrame& send_;

  absl::Mutex mutex_;
  std::optional<v1::TrainerCheckpoint> waiting_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace dropbp::agent
