// The durable record of all jobs. Every call that writes returns after its one transaction is on
// the disk, so an answer that follows it survives a crash. Not thread-safe: the coordinator's lock
// is around every use.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/status.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/plan.pb.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "server/store/database.h"

namespace dropbp::server {

// Where a rank of the current attempt runs and how far it is.
struct Placement {
  std::string worker_id;
  uint64_t incarnation = 0;
  int slot = 0;
  bool finished = false;   // it reported the job's end
  bool gone = false;       // its process ended, or its worker is lost
  int64_t last_step = -1;  // newest step counted in the job's progress
};

// A job as the coordinator needs it to go on after a restart.
struct StoredJob {
  int64_t create_order = 0;
  v1::Job job;
  std::optional<v1::ModelShape> shape;
  std::vector<Placement> placements;             // by rank
  std::vector<v1::Sensitivities> sensitivities;  // by step
  std::vector<v1::StepReport> recent_steps;      // oldest first, at most kRecentSteps
};
inline constexpr int kRecentSteps = 32;

// What a rank handed over of a checkpoint.
struct CheckpointPartOf {
  int rank = 0;
  v1::TrainerCheckpoint part;
};

// What one event does to a job, applied as a whole or not at all.
struct JobChange {
  v1::Job job;                       // new content; `last_event` is set by the store
  std::vector<v1::JobEvent> events;  // `sequence` is set by the store
  std::optional<std::vector<Placement>> placements;  // replaces what is stored
  std::optional<v1::ModelShape> shape;
  std::optional<v1::Sensitivities> sensitivities;  // added to what earlier probes found
  std::vector<v1::StepReport> steps;               // appended to the step history
  std::optional<v1::Evaluation> evaluation;        // added to those so far; samples are left out
  // A new attempt goes on after so many steps: sensitivities, step history and evaluations from
  // there on, and checkpoints that are not complete, are forgotten.
  std::optional<int64_t> resume_step;
  std::optional<CheckpointPartOf> checkpoint_part;
  // A checkpoint is complete. Parts of it and of earlier steps are forgotten, and so are complete
  // checkpoints but the newest `checkpoints_kept` and that after `best_step` steps.
  std::optional<v1::Checkpoint> checkpoint;
  int64_t checkpoints_kept = 1;
  int64_t best_step = 0;
};

// A new job and the request that asked for it.
struct NewJob {
  v1::Job job;
  std::string request_id;    // empty: the call is not idempotent
  std::string content_hash;  // of the request
  // Of another job, what this one begins from: its files stay until this job has ended.
  std::optional<v1::Checkpoint> init_checkpoint = {};
};

struct JobQuery {
  int limit = 50;
  int64_t before_order = 0;  // only jobs created before this one; 0: from the newest
  std::vector<v1::Job::State> states;
  std::map<std::string, std::string> labels;
};

struct JobPage {
  std::vector<v1::Job> jobs;  // newest first
  int64_t next_order = 0;     // before_order of the next page; 0: this is the last
};

// Told how long each writing transaction took, and whether it was stored.
using CommitObserver = std::function<void(absl::Duration took, bool ok)>;

class JobStore {
 public:
  // Opens or creates `path` and migrates it.
  static absl::StatusOr<std::unique_ptr<JobStore>> Open(const std::string& path);

  // The answer that `request_id` got; NOT_FOUND if it is new; ALREADY_EXISTS (reason
  // REQUEST_ID_REUSED) if it had another content.
  absl::StatusOr<v1::Job> FindAnswer(const std::string& request_id,
                                     const std::string& content_hash);
  // Stores the job, its CREATED event and the request. ALREADY_EXISTS (reason JOB_EXISTS) if the
  // job id is taken. Returns the job as stored.
  absl::StatusOr<v1::Job> Create(const NewJob& created);

  // Applies a change; on success events carry their sequence numbers. Every change of state needs a
  // STATE_CHANGED event, and each such move must be legal, else FAILED_PRECONDITION (reason
  // ILLEGAL_MOVE) and nothing is stored.
  absl::Status Apply(JobChange& change);
  // Applies several changes in one transaction.
  absl::Status ApplyAll(absl::Span<JobChange> changes);

  // Forgets a job that has ended and names its files as unused, as far as no other job has them.
  // NOT_FOUND (reason JOB_NOT_FOUND); FAILED_PRECONDITION (reason JOB_NOT_ENDED). A repeated
  // request with which it was created still gets its first answer. Returns the job as it was.
  absl::StatusOr<v1::Job> Delete(const std::string& job_id);

  absl::StatusOr<v1::Job> Get(const std::string& job_id);
  absl::StatusOr<JobPage> List(const JobQuery& query);
  absl::StatusOr<std::vector<v1::JobEvent>> EventsAfter(const std::string& job_id,
                                                        int64_t sequence);
  // The newest events, in order, at most `limit`.
  absl::StatusOr<std::vector<v1::JobEvent>> NewestEvents(const std::string& job_id, int limit);
  // Step reports from `first_step` on, each of the newest attempt that made the step, in order, at
  // most `limit`.
  absl::StatusOr<std::vector<v1::StepReport>> StepsFrom(const std::string& job_id,
                                                        int64_t first_step, int limit);
  // Evaluations of the job, by step, without their samples.
  absl::StatusOr<std::vector<v1::Evaluation>> Evaluations(const std::string& job_id);
  // What the probes of the job found, by step.
  absl::StatusOr<std::vector<v1::Sensitivities>> SensitivitiesOf(const std::string& job_id);

  // Complete checkpoints, newest first.
  absl::StatusOr<std::vector<v1::Checkpoint>> Checkpoints(const std::string& job_id);
  // Parts of a checkpoint that is not complete, by rank.
  absl::StatusOr<std::vector<CheckpointPartOf>> CheckpointParts(const std::string& job_id,
                                                                int64_t step);
  // The checkpoint of another job that this one, which has not ended, begins from; nothing if there
  // is none.
  absl::StatusOr<std::optional<v1::Checkpoint>> InitCheckpoint(const std::string& job_id);
  // Files that no checkpoint uses any more. They are named until ForgetUnused(), so that a crash
  // before they are deleted leaves none behind.
  absl::StatusOr<std::vector<std::string>> UnusedArtifacts();
  absl::Status ForgetUnused(const std::string& sha256);
  // Names a file that came for a checkpoint that does not want it, unless another one uses it.
  absl::Status NoteUnused(const std::string& sha256);

  // All jobs that have not ended, oldest first.
  absl::StatusOr<std::vector<StoredJob>> LoadActive();
  // Number of jobs by state.
  absl::StatusOr<std::map<v1::Job::State, int64_t>> CountByState();

  // create_order of the job created last.
  int64_t newest_order() const { return newest_order_; }
  void set_commit_observer(CommitObserver observer) { on_commit_ = std::move(observer); }

 private:
  explicit JobStore(std::unique_ptr<Database> db) : db_(std::move(db)) {}
  absl::Status ApplyInTransaction(JobChange& change);
  absl::Status AddEvaluation(const std::string& job_id, v1::Evaluation evaluation);
  absl::Status InsertEvents(v1::Job& job, std::vector<v1::JobEvent>& events);
  absl::Status ReplacePlacements(const std::string& job_id, const std::vector<Placement>& ranks);
  // store_checkpoints.cc
  absl::Status BeginAttempt(const std::string& job_id, int64_t resume_step);
  absl::Status AddCheckpointPart(const std::string& job_id, const CheckpointPartOf& part);
  absl::Status AddCheckpoint(const JobChange& change);
  absl::Status AddInitCheckpoint(const std::string& job_id, const v1::Checkpoint& checkpoint);
  absl::Status DropInitCheckpoint(const std::string& job_id);
  absl::Status AddUses(const v1::Checkpoint& checkpoint, const std::string& job_id, int64_t step);
  absl::Status AddUse(const std::string& sha256, const std::string& job_id, int64_t step);
  // Files of checkpoints that are neither complete nor to come nor begun from are no longer used.
  absl::Status DropUses(const std::string& job_id);

  absl::Status LoadGang(StoredJob& stored);
  absl::Status LoadHistory(StoredJob& stored);
  absl::Status ApplyInOneTransaction(absl::Span<JobChange> changes);
  absl::StatusOr<v1::Job> CreateInTransaction(const NewJob& created);
  // store_delete.cc
  absl::StatusOr<v1::Job> DeleteInTransaction(const std::string& job_id);
  absl::Status KeepFilesOfOthers(const std::string& job_id, std::set<std::string>& files);
  // Tells the observer of a transaction that began at `begun`. A refusal is no failure of the
  // store.
  void Observe(absl::Time begun, const absl::Status& status) const;

  std::unique_ptr<Database> db_;
  CommitObserver on_commit_ = [](absl::Duration, bool) {};
  int64_t newest_order_ = 0;
};

}  // namespace dropbp::server
