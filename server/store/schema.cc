#include "server/store/schema.h"

#include "absl/strings/str_cat.h"

namespace dropbp::server {
namespace {

// Migration i takes a store from version i to i + 1. A migration that was released is never edited.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE jobs (
  create_order INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  job BLOB NOT NULL,             -- dropbp.v1.Job
  model_shape BLOB               -- dropbp.v1.ModelShape, once PREPARING is over
);
CREATE INDEX jobs_by_state ON jobs (state, priority DESC, create_order);
CREATE TABLE labels (
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (job_id, key)
) WITHOUT ROWID;
CREATE INDEX labels_by_value ON labels (key, value);
CREATE TABLE events (
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  sequence INTEGER NOT NULL,
  event BLOB NOT NULL,           -- dropbp.v1.JobEvent
  PRIMARY KEY (job_id, sequence)
) WITHOUT ROWID;
CREATE TABLE requests (
  request_id TEXT PRIMARY KEY,
  content_hash TEXT NOT NULL,
  answer BLOB NOT NULL           -- dropbp.v1.Job as first answered
) WITHOUT ROWID;
CREATE TABLE placements (        -- ranks of the current attempt
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  rank INTEGER NOT NULL,
  worker_id TEXT NOT NULL,
  incarnation INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  gone INTEGER NOT NULL,
  last_step INTEGER NOT NULL,    -- newest step counted in the job's progress; -1 before the first
  PRIMARY KEY (job_id, rank)
) WITHOUT ROWID;
CREATE TABLE probes (            -- sensitivity probes of the current attempt
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  rank INTEGER NOT NULL,
  report BLOB NOT NULL,          -- dropbp.v1.ProbeReport
  PRIMARY KEY (job_id, rank)
) WITHOUT ROWID;
CREATE TABLE step_history (      -- rank 0's reports
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  step INTEGER NOT NULL,
  report BLOB NOT NULL,          -- dropbp.v1.StepReport
  PRIMARY KEY (job_id, step)
) WITHOUT ROWID;
)sql",
    R"sql(
DROP TABLE probes;
CREATE TABLE sensitivities (     -- what the probes of the current attempt found
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  step INTEGER NOT NULL,         -- before which the probe ran
  report BLOB NOT NULL,          -- dropbp.v1.Sensitivities
  PRIMARY KEY (job_id, step)
) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE checkpoints (       -- the complete ones that are kept
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  step INTEGER NOT NULL,         -- optimizer steps done
  checkpoint BLOB NOT NULL,      -- dropbp.v1.Checkpoint
  PRIMARY KEY (job_id, step)
) WITHOUT ROWID;
CREATE TABLE checkpoint_parts (  -- what the current attempt handed over of those to come
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  step INTEGER NOT NULL,
  rank INTEGER NOT NULL,
  part BLOB NOT NULL,            -- dropbp.v1.TrainerCheckpoint
  PRIMARY KEY (job_id, step, rank)
) WITHOUT ROWID;
CREATE TABLE artifact_uses (     -- files of checkpoints, complete or to come
  sha256 TEXT NOT NULL,
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  step INTEGER NOT NULL,
  PRIMARY KEY (sha256, job_id, step)
) WITHOUT ROWID;
CREATE INDEX artifact_uses_by_checkpoint ON artifact_uses (job_id, step);
CREATE TABLE unused_artifacts (  -- had a use in artifact_uses, have none any more; to be deleted
  sha256 TEXT PRIMARY KEY
) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE evaluations (       -- each as the newest attempt that made it did
  job_id TEXT NOT NULL REFERENCES jobs (job_id),
  step INTEGER NOT NULL,         -- optimizer steps done
  evaluation BLOB NOT NULL,      -- dropbp.v1.Evaluation without its samples
  PRIMARY KEY (job_id, step)
) WITHOUT ROWID;
)sql",
    R"sql(
CREATE TABLE init_checkpoints (  -- of other jobs, what jobs that have not ended begin from
  job_id TEXT PRIMARY KEY REFERENCES jobs (job_id),
  checkpoint BLOB NOT NULL       -- dropbp.v1.Checkpoint; its files are in artifact_uses, step 0
) WITHOUT ROWID;
)sql",
};

absl::StatusOr<int64_t> ReadVersion(Database& db) {
  Rows rows = db.Query("PRAGMA user_version");
  if (!rows.Next()) return rows.status();
  return rows.Int(0);
}

}  // namespace

int64_t SchemaVersion() { return std::size(kMigrations); }

absl::Status MigrateSchema(Database& db) {
  ASSIGN_OR_RETURN(int64_t version, ReadVersion(db));
  if (version > SchemaVersion()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job store: found schema version ", version, ", this program knows up to ",
                     SchemaVersion(), "; start a newer dropbp-coordinator on this data folder"));
  }
  for (; version < SchemaVersion(); ++version) {
    Transaction transaction(db);
    RETURN_IF_ERROR(transaction.status());
    RETURN_IF_ERROR(db.RunScript(kMigrations[version]));
    RETURN_IF_ERROR(db.RunScript(absl::StrCat("PRAGMA user_version=", version + 1)));
    RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

}  // namespace dropbp::server
