#include "worker/agent/checkpoint_uploader.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/checkpoint/manifest.h"
#include "worker/agent/models.h"

namespace dropbp::agent {
namespace {

std::string PathOf(const WorkFolder& folder, const RankKey& key, const std::string& file) {
  return absl::StrCat(folder.OutputFolder(key), "/checkpoints/", file);
}

}  // namespace

CheckpointUploader::CheckpointUploader(const TrainerRun& run, int world_size,
                                       const WorkFolder& folder, const ArtifactClient& artifacts,
                                       const CheckpointCache& cache, const SendFrame& send)
    : run_(run),
      world_size_(world_size),
      folder_(folder),
      artifacts_(artifacts),
      cache_(cache),
      send_(send),
      thread_([this] { Run(); }) {}

CheckpointUploader::~CheckpointUploader() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
  }
  thread_.join();
}

void CheckpointUploader::Add(v1::TrainerCheckpoint checkpoint) {
  if (!checkpoint.error().empty()) return Send(std::move(checkpoint));
  if (!IsPlainName(checkpoint.file())) {
    checkpoint.set_error("the name of its file is not a plain one");
    return Send(std::move(checkpoint));
  }
  absl::MutexLock lock(&mutex_);
  if (waiting_) unlink(PathOf(folder_, run_.key(), waiting_->file()).c_str());
  waiting_ = std::move(checkpoint);
}

void CheckpointUploader::Run() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return waiting_.has_value() || closing_;
  };
  while (true) {
    v1::TrainerCheckpoint next;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (!waiting_) return;
      next = *std::exchange(waiting_, std::nullopt);
    }
    Send(Upload(std::move(next)));
  }
}

v1::TrainerCheckpoint CheckpointUploader::Upload(v1::TrainerCheckpoint checkpoint) const {
  absl::StatusOr<v1::Artifact> artifact = UploadFile(checkpoint);
  if (artifact.ok()) {
    *checkpoint.mutable_artifact() = *std::move(artifact);
  } else {
    spdlog::warn("{}", artifact.status().ToString());
    checkpoint.set_error(ToValidUtf8(StdView(artifact.status().message())));
  }
  return checkpoint;
}

absl::StatusOr<v1::Artifact> CheckpointUploader::UploadFile(
    const v1::TrainerCheckpoint& checkpoint) const {
  const std::string path = PathOf(folder_, run_.key(), checkpoint.file());
  const std::string name = PartFileName(run_.key().rank, world_size_);
  ASSIGN_OR_RETURN(v1::Artifact artifact, artifacts_.Upload(path, name, run_.transfers()));
  cache_.Keep(run_.key().job_id, checkpoint.step(), path, name);
  return artifact;
}

void CheckpointUploader::Send(v1::TrainerCheckpoint checkpoint) const {
  v1::SessionRequest frame;
  v1::RankCheckpoint& rank = *frame.mutable_rank_checkpoint();
  rank.set_job_id(run_.key().job_id);
  rank.set_attempt(run_.key().attempt);
  rank.set_rank(run_.key().rank);
  *rank.mutable_checkpoint() = std::move(checkpoint);
  send_(std::move(frame));
}

}  // namespace dropbp::agent
