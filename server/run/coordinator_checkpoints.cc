// Coordinator: checkpoints, from the parts that ranks hand over to what the next attempt goes on
// from. A checkpoint is complete once every rank's part is stored; then its manifest is written,
// and last its record. Until then the one before it counts.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "proto/support/grpc_status.h"
#include "server/run/coordinator.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

// The job's progress from its ranks' shares: FLOPs add up, all else is rank 0's.
v1::JobProgress Sum(const std::vector<CheckpointPartOf>& parts) {
  v1::JobProgress sum = parts[0].part.progress();
  for (size_t i = 1; i < parts.size(); ++i) {
    const v1::JobProgress& more = parts[i].part.progress();
    sum.set_backward_flops_done(sum.backward_flops_done() + more.backward_flops_done());
    sum.set_backward_flops_saved(sum.backward_flops_saved() + more.backward_flops_saved());
  }
  const double all = sum.backward_flops_done() + sum.backward_flops_saved();
  sum.set_realised_drop_rate(all > 0 ? sum.backward_flops_saved() / all : 0);
  return sum;
}

}  // namespace

absl::StatusOr<v1::JobProgress> Coordinator::ProgressAt(
    const std::string& job_id, int64_t step, const std::vector<CheckpointPartOf>& parts) {
  v1::JobProgress progress = Sum(parts);
  ASSIGN_OR_RETURN(const std::vector<v1::Evaluation> evaluations, store_->Evaluations(job_id));
  for (const v1::Evaluation& evaluation : evaluations) {
    if (evaluation.step() <= step) AddEvaluation(evaluation, progress);
  }
  return progress;
}

absl::Status Coordinator::OnRankCheckpoint(KnownWorker& worker, const v1::RankCheckpoint& frame) {
  const v1::TrainerCheckpoint& part = frame.checkpoint();
  LiveRun* live = FindRank(worker, frame.job_id(), frame.attempt(), frame.rank());
  if (live == nullptr) {
    spdlog::info("job {} attempt {}: rank {} handed over a part of a checkpoint too late",
                 frame.job_id(), frame.attempt(), frame.rank());
    return TurnDown(part);
  }
  if (!part.error().empty()) {
    return Apply(*live, CheckpointFailed{absl::StrCat("Rank ", frame.rank(),
                                                      " could not save the checkpoint after ",
                                                      part.step(), " steps: ", part.error())});
  }
  const bool behind =
      live->run.job.has_checkpoint() && part.step() <= live->run.job.checkpoint().step();
  if (behind || part.step() < 1) return TurnDown(part);
  // Deleting is done under the same lock: from here on it is in use.
  if (!artifacts_.Has(part.artifact().sha256())) {
    return Apply(*live, CheckpointFailed{absl::StrCat("Rank ", frame.rank(),
                                                      " saved the checkpoint after ", part.step(),
                                                      " steps, but its file was not uploaded.")});
  }
  return TakePart(*live, frame.rank(), part);
}

absl::Status Coordinator::TurnDown(const v1::TrainerCheckpoint& part) {
  if (part.has_artifact()) RETURN_IF_ERROR(store_->NoteUnused(part.artifact().sha256()));
  DeleteUnused();
  return absl::OkStatus();
}

absl::Status Coordinator::TakePart(LiveRun& live, int rank, const v1::TrainerCheckpoint& part) {
  RETURN_IF_ERROR(Apply(live, CheckpointPartStored{.rank = rank, .part = part}));
  ASSIGN_OR_RETURN(const std::vector<CheckpointPartOf> parts,
                   store_->CheckpointParts(live.run.job.job_id(), part.step()));
  if (parts.size() < live.run.ranks.size()) return absl::OkStatus();
  RETURN_IF_ERROR(Complete(live, part.step(), parts));
  DeleteUnused();
  return absl::OkStatus();
}

absl::Status Coordinator::Complete(LiveRun& live, int64_t step,
                                   const std::vector<CheckpointPartOf>& parts) {
  CheckpointManifest manifest{.identity = JobIdentity(live.run.spec), .step = step, .parts = {}};
  v1::Checkpoint checkpoint;
  checkpoint.set_step(step);
  checkpoint.set_attempt(live.run.job.attempt());
  checkpoint.set_world_size(static_cast<int32_t>(parts.size()));
  *checkpoint.mutable_create_time() = ToProto(clock_.Now());
  ASSIGN_OR_RETURN(*checkpoint.mutable_progress(), ProgressAt(live.run.job.job_id(), step, parts));
  int64_t bytes = 0;
  for (const CheckpointPartOf& stored : parts) {
    v1::Artifact* part = checkpoint.add_parts();
    *part = stored.part.artifact();
    part->set_name(PartFileName(stored.rank, static_cast<int>(parts.size())));
    manifest.parts.push_back(
        {.file = part->name(), .size_bytes = part->size_bytes(), .sha256 = part->sha256()});
    bytes += part->size_bytes();
  }
  const std::string text = FormatManifest(manifest);
  const absl::StatusOr<std::string> sha256 = artifacts_.Put(text);
  if (!sha256.ok()) {
    return Apply(live, CheckpointFailed{absl::StrCat(
                           "The checkpoint after ", step,
                           " steps could not be stored: ", sha256.status().message())});
  }
  checkpoint.mutable_manifest()->set_name(kManifestFile);
  checkpoint.mutable_manifest()->set_sha256(*sha256);
  checkpoint.mutable_manifest()->set_size_bytes(static_cast<int64_t>(text.size()));
  checkpoint.set_size_bytes(bytes + static_cast<int64_t>(text.size()));
  return Apply(live, CheckpointCompleted{std::move(checkpoint)});
}

bool Coordinator::IsStored(const v1::Checkpoint& checkpoint) const {
  const auto is_there = [this](const v1::Artifact& file) {
    const absl::StatusOr<int64_t> size = artifacts_.SizeOf(file.sha256());
    return size.ok() && *size == file.size_bytes();
  };
  return is_there(checkpoint.manifest()) &&
         std::all_of(checkpoint.parts().begin(), checkpoint.parts().end(), is_there);
}

absl::StatusOr<std::optional<v1::Checkpoint>> Coordinator::NewestCheckpoint(
    const std::string& job_id) {
  ASSIGN_OR_RETURN(std::vector<v1::Checkpoint> checkpoints, store_->Checkpoints(job_id));
  for (v1::Checkpoint& checkpoint : checkpoints) {
    if (IsStored(checkpoint)) return std::optional<v1::Checkpoint>(std::move(checkpoint));
    spdlog::error("job {}: files of the checkpoint after {} steps are missing", job_id,
                  checkpoint.step());
  }
  return std::optional<v1::Checkpoint>();
}

void Coordinator::DeleteUnused() {
  const absl::StatusOr<std::vector<std::string>> unused = store_->UnusedArtifacts();
  if (!unused.ok()) {
    spdlog::error("{}", unused.status().ToString());
    return;
  }
  for (const std::string& sha256 : *unused) {
    absl::Status status = artifacts_.Delete(sha256);
    if (status.ok()) status = store_->ForgetUnused(sha256);
    if (!status.ok()) spdlog::error("{}", status.ToString());
  }
}

absl::StatusOr<std::vector<v1::Checkpoint>> Coordinator::ListCheckpoints(
    const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const v1::Job job, store_->Get(job_id));
  return CheckpointsOf(job);
}

absl::StatusOr<std::vector<v1::Checkpoint>> Coordinator::CheckpointsOf(const v1::Job& job) {
  ASSIGN_OR_RETURN(std::vector<v1::Checkpoint> checkpoints, store_->Checkpoints(job.job_id()));
  for (v1::Checkpoint& checkpoint : checkpoints)
    checkpoint.set_best(checkpoint.step() == job.progress().best_evaluation().step());
  return checkpoints;
}

absl::StatusOr<v1::Job> Coordinator::PauseJob(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  LiveRun* live = FindRun(job_id);
  if (live == nullptr || live->run.state() == JobState::kCancelling) {
    return RefuseEnded(job_id, live);
  }
  RETURN_IF_ERROR(Apply(*live, PauseRequested{}));
  if (live->run.state() == JobState::kPaused) {
    live->preparer.clear();  // its answer is not awaited any more
    live->pending_reason.clear();
  }
  const v1::Job job = Decorated(*live);
  RunSchedule();
  return job;
}

absl::StatusOr<v1::Job> Coordinator::ResumeJob(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  LiveRun* live = FindRun(job_id);
  if (live == nullptr || live->run.state() == JobState::kCancelling) {
    return RefuseEnded(job_id, live);
  }
  if (live->run.state() == JobState::kPausing) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "job '", job_id, "' is still PAUSING; resume it when it is PAUSED")),
                      "JOB_PAUSING");
  }
  RETURN_IF_ERROR(Apply(*live, ResumeRequested{}));
  const v1::Job job = Decorated(*live);
  RunSchedule();
  return job;
}

absl::Status Coordinator::RefuseEnded(const std::string& job_id, const LiveRun* live) {
  v1::Job job;
  if (live != nullptr) {
    job = live->run.job;
  } else {
    ASSIGN_OR_RETURN(job, store_->Get(job_id));
  }
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "job '", job_id, "' has ended: it is ", v1::Job::State_Name(job.state()))),
                    "JOB_ENDED");
}

}  // namespace dropbp::server
