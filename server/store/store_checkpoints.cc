// JobStore: checkpoints, and which files they use. A file may be a part of several checkpoints,
// also of different jobs: equal content is one artifact.
#include "absl/strings/str_cat.h"
#include "server/store/job_store.h"

namespace dropbp::server {
namespace {

// In artifact_uses: what a job begins from. Its own checkpoints have steps from 1 on.
constexpr int64_t kInitStep = 0;

absl::Status UnreadableCheckpoint(const std::string& job_id) {
  return absl::DataLossError(
      absl::StrCat("job store: a checkpoint of job '", job_id, "' cannot be read"));
}

}  // namespace

absl::Status JobStore::BeginAttempt(const std::string& job_id, int64_t resume_step) {
  for (const char* sql : {"DELETE FROM sensitivities WHERE job_id = ? AND step >= ?",
                          "DELETE FROM step_history WHERE job_id = ? AND step >= ?",
                          "DELETE FROM evaluations WHERE job_id = ? AND step > ?",
                          // A complete one behind it could not be used, for whatever reason.
                          "DELETE FROM checkpoints WHERE job_id = ? AND step > ?"}) {
    RETURN_IF_ERROR(db_->Run(sql, {std::string_view(job_id), resume_step}));
  }
  RETURN_IF_ERROR(
      db_->Run("DELETE FROM checkpoint_parts WHERE job_id = ?", {std::string_view(job_id)}));
  return DropUses(job_id);
}

absl::Status JobStore::AddUses(const v1::Checkpoint& checkpoint, const std::string& job_id,
                               int64_t step) {
  RETURN_IF_ERROR(AddUse(checkpoint.manifest().sha256(), job_id, step));
  for (const v1::Artifact& part : checkpoint.parts()) {
    RETURN_IF_ERROR(AddUse(part.sha256(), job_id, step));
  }
  return absl::OkStatus();
}

absl::Status JobStore::AddInitCheckpoint(const std::string& job_id,
                                         const v1::Checkpoint& checkpoint) {
  RETURN_IF_ERROR(db_->Run("INSERT INTO init_checkpoints VALUES (?, ?)",
                           {std::string_view(job_id), Blob{checkpoint.SerializeAsString()}}));
  return AddUses(checkpoint, job_id, kInitStep);
}

absl::Status JobStore::DropInitCheckpoint(const std::string& job_id) {
  RETURN_IF_ERROR(
      db_->Run("DELETE FROM init_checkpoints WHERE job_id = ?", {std::string_view(job_id)}));
  return DropUses(job_id);
}

absl::StatusOr<std::optional<v1::Checkpoint>> JobStore::InitCheckpoint(const std::string& job_id) {
  Rows rows = db_->Query("SELECT checkpoint FROM init_checkpoints WHERE job_id = ?",
                         {std::string_view(job_id)});
  std::optional<v1::Checkpoint> checkpoint;
  if (rows.Next() && !checkpoint.emplace().ParseFromString(rows.Bytes(0)))
    return UnreadableCheckpoint(job_id);
  RETURN_IF_ERROR(rows.status());
  return checkpoint;
}

absl::Status JobStore::AddUse(const std::string& sha256, const std::string& job_id, int64_t step) {
  RETURN_IF_ERROR(db_->Run("INSERT OR IGNORE INTO artifact_uses VALUES (?, ?, ?)",
                           {std::string_view(sha256), std::string_view(job_id), step}));
  return db_->Run("DELETE FROM unused_artifacts WHERE sha256 = ?", {std::string_view(sha256)});
}

absl::Status JobStore::DropUses(const std::string& job_id) {
  constexpr std::string_view kNoCheckpoint =
      " FROM artifact_uses AS use WHERE job_id = ?1"
      " AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE job_id = ?1 AND step = use.step)"
      " AND NOT EXISTS (SELECT 1 FROM checkpoint_parts WHERE job_id = ?1 AND step = use.step)"
      " AND NOT (step = 0 AND EXISTS (SELECT 1 FROM init_checkpoints WHERE job_id = ?1))";
  RETURN_IF_ERROR(db_->Run(absl::StrCat("INSERT OR IGNORE INTO unused_artifacts SELECT sha256",
                                        std::string(kNoCheckpoint)),
                           {std::string_view(job_id)}));
  RETURN_IF_ERROR(
      db_->Run(absl::StrCat("DELETE", std::string(kNoCheckpoint)), {std::string_view(job_id)}));
  return db_->Run(
      "DELETE FROM unused_artifacts WHERE EXISTS"
      " (SELECT 1 FROM artifact_uses WHERE artifact_uses.sha256 = unused_artifacts.sha256)");
}

absl::Status JobStore::AddCheckpointPart(const std::string& job_id, const CheckpointPartOf& part) {
  const int64_t step = part.part.step();
  RETURN_IF_ERROR(db_->Run(
      "INSERT OR REPLACE INTO checkpoint_parts VALUES (?, ?, ?, ?)",
      {std::string_view(job_id), step, int64_t{part.rank}, Blob{part.part.SerializeAsString()}}));
  return AddUse(part.part.artifact().sha256(), job_id, step);
}

absl::Status JobStore::AddCheckpoint(const JobChange& change) {
  const v1::Checkpoint& checkpoint = *change.checkpoint;
  const std::string& job_id = change.job.job_id();
  const int64_t step = checkpoint.step();
  RETURN_IF_ERROR(db_->Run("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)",
                           {std::string_view(job_id), step, Blob{checkpoint.SerializeAsString()}}));
  RETURN_IF_ERROR(AddUses(checkpoint, job_id, step));
  RETURN_IF_ERROR(db_->Run("DELETE FROM checkpoint_parts WHERE job_id = ? AND step <= ?",
                           {std::string_view(job_id), step}));
  RETURN_IF_ERROR(
      db_->Run("DELETE FROM checkpoints WHERE job_id = ?1 AND step != ?3 AND step NOT IN"
               " (SELECT step FROM checkpoints WHERE job_id = ?1 ORDER BY step DESC LIMIT ?2)",
               {std::string_view(job_id), change.checkpoints_kept, change.best_step}));
  return DropUses(job_id);
}

absl::StatusOr<std::vector<v1::Checkpoint>> JobStore::Checkpoints(const std::string& job_id) {
  Rows rows = db_->Query("SELECT checkpoint FROM checkpoints WHERE job_id = ? ORDER BY step DESC",
                         {std::string_view(job_id)});
  std::vector<v1::Checkpoint> checkpoints;
  while (rows.Next()) {
    if (!checkpoints.emplace_back().ParseFromString(rows.Bytes(0)))
      return UnreadableCheckpoint(job_id);
  }
  RETURN_IF_ERROR(rows.status());
  return checkpoints;
}

absl::StatusOr<std::vector<CheckpointPartOf>> JobStore::CheckpointParts(const std::string& job_id,
                                                                        int64_t step) {
  Rows rows = db_->Query(
      "SELECT rank, part FROM checkpoint_parts WHERE job_id = ? AND step = ? ORDER BY rank",
      {std::string_view(job_id), step});
  std::vector<CheckpointPartOf> parts;
  while (rows.Next()) {
    CheckpointPartOf& part = parts.emplace_back();
    part.rank = static_cast<int>(rows.Int(0));
    if (!part.part.ParseFromString(rows.Bytes(1))) return UnreadableCheckpoint(job_id);
  }
  RETURN_IF_ERROR(rows.status());
  return parts;
}

absl::StatusOr<std::vector<std::string>> JobStore::UnusedArtifacts() {
  Rows rows = db_->Query("SELECT sha256 FROM unused_artifacts");
  std::vector<std::string> unused;
  while (rows.Next()) unused.push_back(rows.Bytes(0));
  RETURN_IF_ERROR(rows.status());
  return unused;
}

absl::Status JobStore::ForgetUnused(const std::string& sha256) {
  return db_->Run("DELETE FROM unused_artifacts WHERE sha256 = ?", {std::string_view(sha256)});
}

absl::Status JobStore::NoteUnused(const std::string& sha256) {
  return db_->Run(
      "INSERT OR IGNORE INTO unused_artifacts SELECT ?1 WHERE NOT EXISTS"
      " (SELECT 1 FROM artifact_uses WHERE sha256 = ?1)",
      {std::string_view(sha256)});
}

}  // namespace dropbp::server
