// JobStore: forgetting a job.
#include <set>

#include "absl/strings/str_cat.h"
#include "core/job/job_state.h"
#include "proto/support/grpc_status.h"
#include "server/store/job_store.h"

namespace dropbp::server {
namespace {

// What belongs to a job by its record: results and data. Checkpoints have tables of their own.
std::set<std::string> FilesOf(const v1::Job& job) {
  std::set<std::string> files;
  for (const v1::Artifact& result : job.artifacts()) files.insert(result.sha256());
  const v1::DatasetSpec& data = job.spec().dataset();
  files.insert(data.artifact());
  files.insert(data.validation_artifact());
  for (const auto& [sha256, weight] : data.mix()) files.insert(sha256);
  files.erase("");
  return files;
}

}  // namespace

absl::StatusOr<v1::Job> JobStore::Delete(const std::string& job_id) {
  const absl::Time begun = absl::Now();
  absl::StatusOr<v1::Job> job = DeleteInTransaction(job_id);
  Observe(begun, job.status());
  return job;
}

absl::StatusOr<v1::Job> JobStore::DeleteInTransaction(const std::string& job_id) {
  Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  ASSIGN_OR_RETURN(v1::Job job, Get(job_id));
  if (!IsTerminal(static_cast<JobState>(job.state()))) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("job '", job_id, "' is ", v1::Job::State_Name(job.state()),
                                       "; only a job that has ended can be deleted")),
                      "JOB_NOT_ENDED");
  }
  std::set<std::string> files = FilesOf(job);
  RETURN_IF_ERROR(KeepFilesOfOthers(job_id, files));
  for (const char* table : {"checkpoints", "checkpoint_parts", "init_checkpoints"}) {
    RETURN_IF_ERROR(db_->Run(absl::StrCat("DELETE FROM ", table, " WHERE job_id = ?"),
                             {std::string_view(job_id)}));
  }
  RETURN_IF_ERROR(DropUses(job_id));
  for (const std::string& sha256 : files) RETURN_IF_ERROR(NoteUnused(sha256));
  // What refers to the job goes before it.
  for (const char* table :
       {"labels", "events", "placements", "step_history", "sensitivities", "evaluations", "jobs"}) {
    RETURN_IF_ERROR(db_->Run(absl::StrCat("DELETE FROM ", table, " WHERE job_id = ?"),
                             {std::string_view(job_id)}));
  }
  RETURN_IF_ERROR(transaction.Commit());
  return job;
}

// Files have no index by job: this reads every other job's record, until no file is left in doubt.
absl::Status JobStore::KeepFilesOfOthers(const std::string& job_id, std::set<std::string>& files) {
  Rows rows = db_->Query("SELECT job FROM jobs WHERE job_id != ?", {std::string_view(job_id)});
  while (!files.empty() && rows.Next()) {
    v1::Job other;
    if (!other.ParseFromString(rows.Bytes(0)))
      return absl::DataLossError("job store: a job cannot be read");
    for (const std::string& sha256 : FilesOf(other)) files.erase(sha256);
  }
  return rows.status();
}

}  // namespace dropbp::server
