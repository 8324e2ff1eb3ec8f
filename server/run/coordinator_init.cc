// Coordinator: jobs that begin from what another one trained, its result or one of its checkpoints.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/init_from.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "server/run/coordinator.h"

namespace dropbp::server {
namespace {

using Files = google::protobuf::RepeatedPtrField<v1::Artifact>;

absl::Status Refuse(const JobSpec& spec, const std::string& found, const std::string& legal) {
  const FieldViolation violation{
      "init_from", absl::StrCat("found '", spec.init_from, "', ", found, "; legal is ", legal)};
  return InvalidFields({&violation, 1});
}

bool IsNamed(const v1::Checkpoint& checkpoint, const std::string& name) {
  if (name == kBestCheckpoint) return checkpoint.best();
  return name == kLatestCheckpoint || name == absl::StrCat(checkpoint.step());
}

// "job@40 (best), job@20"; newest first.
std::string NamesOf(const std::vector<v1::Checkpoint>& checkpoints, const std::string& job_id) {
  return absl::StrJoin(checkpoints, ", ", [&](std::string* out, const v1::Checkpoint& checkpoint) {
    absl::StrAppend(out, job_id, "@", checkpoint.step(), checkpoint.best() ? " (best)" : "");
  });
}

}  // namespace

absl::StatusOr<std::optional<v1::Checkpoint>> Coordinator::ResolveInit(JobSpec& spec) {
  std::optional<v1::Checkpoint> checkpoint;
  if (spec.init_from.empty()) return checkpoint;
  const InitFrom from = *ParseInitFrom(spec.init_from);
  const absl::StatusOr<v1::Job> earlier = store_->Get(from.job_id);
  if (absl::IsNotFound(earlier.status())) {
    return from.checkpoint.empty()
               ? Refuse(spec, "which is no job", "the id of a job that has SUCCEEDED")
               : Refuse(spec, "of which there is no job", "a checkpoint of a job");
  }
  RETURN_IF_ERROR(earlier.status());
  const auto violations = CheckInitFrom(spec, JobSpecFromProto(earlier->spec()));
  if (!violations.empty()) return InvalidFields(violations);
  if (from.checkpoint.empty()) {
    RETURN_IF_ERROR(CheckResult(spec, *earlier));
    return checkpoint;
  }
  ASSIGN_OR_RETURN(checkpoint, FindInitCheckpoint(spec, *earlier, from.checkpoint));
  spec.init_from = absl::StrCat(from.job_id, "@", checkpoint->step());
  return checkpoint;
}

absl::Status Coordinator::CheckResult(const JobSpec& spec, const v1::Job& earlier) const {
  constexpr char kLegal[] = "the id of a job that has SUCCEEDED, or one of its checkpoints, as ";
  const std::string legal = absl::StrCat(kLegal, earlier.job_id(), "@", kLatestCheckpoint);
  if (earlier.state() != v1::Job::SUCCEEDED)
    return Refuse(spec, absl::StrCat("which is ", v1::Job::State_Name(earlier.state())), legal);
  for (const v1::Artifact& file : earlier.artifacts()) {
    if (!artifacts_.Has(file.sha256()))
      return Refuse(spec, absl::StrCat("whose ", file.name(), " is not stored any more"), legal);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Checkpoint> Coordinator::FindInitCheckpoint(const JobSpec& spec,
                                                               const v1::Job& earlier,
                                                               const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<v1::Checkpoint> checkpoints, CheckpointsOf(earlier));
  if (checkpoints.empty()) {
    return Refuse(spec, "but that job has no checkpoint",
                  "a job with one; dropbp checkpoints JOB lists them");
  }
  const std::string legal =
      absl::StrCat("one that is kept: ", NamesOf(checkpoints, earlier.job_id()));
  const auto found = std::find_if(checkpoints.begin(), checkpoints.end(),
                                  [&](const auto& one) { return IsNamed(one, name); });
  if (found == checkpoints.end()) return Refuse(spec, "which is no checkpoint of that job", legal);
  if (!IsStored(*found)) return Refuse(spec, "whose files are not all stored any more", legal);
  return *found;
}

absl::StatusOr<Files> Coordinator::InitFiles(const LiveRun& live) {
  const std::string& init_from = live.run.spec.init_from;
  if (init_from.empty()) return Files();
  ASSIGN_OR_RETURN(const std::optional<v1::Checkpoint> checkpoint,
                   store_->InitCheckpoint(live.run.job.job_id()));
  if (checkpoint) {
    Files files = checkpoint->parts();
    *files.Add() = checkpoint->manifest();
    return files;
  }
  ASSIGN_OR_RETURN(const v1::Job job, store_->Get(init_from));
  return job.artifacts();
}

}  // namespace dropbp::server
