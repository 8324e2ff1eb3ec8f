#include "core/checkpoint/checkpoint_job.h"

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "core/job/job_file.h"

namespace dropbp {
namespace {

constexpr int64_t kMaxJobFileBytes = 1 << 20;

}  // namespace

absl::StatusOr<JobSpec> ReadCheckpointJob(const std::string& folder) {
  ASSIGN_OR_RETURN(const CheckpointManifest manifest, ReadManifest(folder));
  const std::string path = absl::StrCat(folder, "/", kCheckpointJobFile);
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxJobFileBytes);
  if (absl::IsNotFound(text.status())) {
    return absl::NotFoundError(absl::StrCat(
        path, ": there is none, legal is the file that `dropbp download JOB --checkpoint ",
        manifest.step, " --to ", folder, "` writes"));
  }
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(const JobFile job, ParseJobFile(*text, path));
  const std::string identity = JobIdentity(job.spec);
  if (identity == manifest.identity) return job.spec;
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": found a job with identity ", identity, ", the checkpoint is of one with ",
      manifest.identity, ": the file was changed, or is that of another job"));
}

}  // namespace dropbp
