#include "server/store/job_store.h"

#include "absl/strings/str_cat.h"
#include "core/job/job_state.h"
#include "proto/support/grpc_status.h"
#include "server/store/schema.h"

namespace dropbp::server {
namespace {

template <typename Message>
absl::StatusOr<Message> Parsed(const std::string& bytes, const std::string& what) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return absl::DataLossError(absl::StrCat("job store: ", what, " cannot be read"));
  }
  return message;
}

absl::Status NoSuchJob(const std::string& job_id) {
  return WithReason(absl::NotFoundError(absl::StrCat("job '", job_id, "' does not exist")),
                    "JOB_NOT_FOUND");
}

// Follows the STATE_CHANGED events from `from`; every move must be legal and end at `to`.
absl::Status CheckMoves(const std::string& job_id, v1::Job::State from, v1::Job::State to,
                        const std::vector<v1::JobEvent>& events) {
  for (const v1::JobEvent& event : events) {
    if (event.type() != v1::JobEvent::STATE_CHANGED) continue;
    if (!IsLegalMove(static_cast<JobState>(from), static_cast<JobState>(event.state()))) {
      return WithReason(absl::FailedPreconditionError(absl::StrCat(
                            "job '", job_id, "' cannot go from ", v1::Job::State_Name(from), " to ",
                            v1::Job::State_Name(event.state()))),
                        "ILLEGAL_MOVE");
    }
    from = event.state();
  }
  if (from == to) return absl::OkStatus();
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat("job '", job_id, "' goes from ", v1::Job::State_Name(from),
                                     " to ", v1::Job::State_Name(to), " without an event")),
                    "ILLEGAL_MOVE");
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobStore>> JobStore::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path));
  RETURN_IF_ERROR(Annotate(MigrateSchema(*db), path));
  return std::unique_ptr<JobStore>(new JobStore(std::move(db)));
}

void JobStore::Observe(absl::Time begun, const absl::Status& status) const {
  if (absl::IsAlreadyExists(status) || absl::IsNotFound(status) ||
      absl::IsFailedPrecondition(status)) {
    return;
  }
  on_commit_(absl::Now() - begun, status.ok());
}

absl::StatusOr<v1::Job> JobStore::FindAnswer(const std::string& request_id,
                                             const std::string& content_hash) {
  Rows rows = db_->Query("SELECT content_hash, answer FROM requests WHERE request_id = ?",
                         {std::string_view(request_id)});
  if (!rows.Next()) {
    RETURN_IF_ERROR(rows.status());
    return absl::NotFoundError("the request is new");
  }
  if (rows.Bytes(0) != content_hash) {
    return WithReason(
        absl::AlreadyExistsError(absl::StrCat(
            "request_id '", request_id, "' was used before with another content; use a new one")),
        "REQUEST_ID_REUSED");
  }
  return Parsed<v1::Job>(rows.Bytes(1), "the answer to a request");
}

absl::StatusOr<v1::Job> JobStore::Create(const NewJob& created) {
  const absl::Time begun = absl::Now();
  absl::StatusOr<v1::Job> job = CreateInTransaction(created);
  Observe(begun, job.status());
  return job;
}

absl::StatusOr<v1::Job> JobStore::CreateInTransaction(const NewJob& created) {
  v1::Job job = created.job;
  const std::string job_id = job.job_id();
  Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  if (Get(job_id).ok()) {
    return WithReason(absl::AlreadyExistsError(
                          absl::StrCat("job '", job_id, "' exists already; choose another job_id")),
                      "JOB_EXISTS");
  }
  RETURN_IF_ERROR(
      db_->Run("INSERT INTO jobs (job_id, state, priority, job) VALUES (?, ?, ?, x'')",
               {std::string_view(job_id), int64_t{job.state()}, int64_t{job.spec().priority()}}));
  newest_order_ = db_->LastInsertId();
  for (const auto& [key, value] : job.spec().labels()) {
    RETURN_IF_ERROR(
        db_->Run("INSERT INTO labels VALUES (?, ?, ?)",
                 {std::string_view(job_id), std::string_view(key), std::string_view(value)}));
  }
  std::vector<v1::JobEvent> events(1);
  events[0].set_type(v1::JobEvent::CREATED);
  events[0].set_state(job.state());
  events[0].set_message("The job was accepted.");
  *events[0].mutable_time() = job.create_time();
  RETURN_IF_ERROR(InsertEvents(job, events));
  const std::string bytes = job.SerializeAsString();
  RETURN_IF_ERROR(db_->Run("UPDATE jobs SET job = ? WHERE job_id = ?",
                           {Blob{bytes}, std::string_view(job_id)}));
  if (created.init_checkpoint) RETURN_IF_ERROR(AddInitCheckpoint(job_id, *created.init_checkpoint));
  if (!created.request_id.empty()) {
    RETURN_IF_ERROR(db_->Run("INSERT INTO requests VALUES (?, ?, ?)",
                             {std::string_view(created.request_id),
                              std::string_view(created.content_hash), Blob{bytes}}));
  }
  RETURN_IF_ERROR(transaction.Commit());
  return job;
}

absl::Status JobStore::InsertEvents(v1::Job& job, std::vector<v1::JobEvent>& events) {
  for (v1::JobEvent& event : events) {
    event.set_sequence(job.last_event() + 1);
    event.set_attempt(job.attempt());
    job.set_last_event(event.sequence());
    RETURN_IF_ERROR(db_->Run(
        "INSERT INTO events VALUES (?, ?, ?)",
        {std::string_view(job.job_id()), event.sequence(), Blob{event.SerializeAsString()}}));
  }
  return absl::OkStatus();
}

absl::Status JobStore::Apply(JobChange& change) { return ApplyAll(absl::MakeSpan(&change, 1)); }

absl::Status JobStore::ApplyAll(absl::Span<JobChange> changes) {
  const absl::Time begun = absl::Now();
  absl::Status status = ApplyInOneTransaction(changes);
  Observe(begun, status);
  return status;
}

absl::Status JobStore::ApplyInOneTransaction(absl::Span<JobChange> changes) {
  Transaction transaction(*db_);
  RETURN_IF_ERROR(transaction.status());
  for (JobChange& change : changes) RETURN_IF_ERROR(ApplyInTransaction(change));
  return transaction.Commit();
}

absl::Status JobStore::ApplyInTransaction(JobChange& change) {
  const std::string job_id = change.job.job_id();
  ASSIGN_OR_RETURN(const v1::Job before, Get(job_id));
  RETURN_IF_ERROR(CheckMoves(job_id, before.state(), change.job.state(), change.events));
  change.job.set_last_event(before.last_event());
  RETURN_IF_ERROR(InsertEvents(change.job, change.events));
  RETURN_IF_ERROR(db_->Run("UPDATE jobs SET state = ?, job = ? WHERE job_id = ?",
                           {int64_t{change.job.state()}, Blob{change.job.SerializeAsString()},
                            std::string_view(job_id)}));
  if (change.placements) RETURN_IF_ERROR(ReplacePlacements(job_id, *change.placements));
  if (change.shape) {
    RETURN_IF_ERROR(db_->Run("UPDATE jobs SET model_shape = ? WHERE job_id = ?",
                             {Blob{change.shape->SerializeAsString()}, std::string_view(job_id)}));
  }
  if (change.sensitivities) {
    RETURN_IF_ERROR(db_->Run("INSERT OR REPLACE INTO sensitivities VALUES (?, ?, ?)",
                             {std::string_view(job_id), change.sensitivities->step(),
                              Blob{change.sensitivities->SerializeAsString()}}));
  }
  if (change.checkpoint_part) RETURN_IF_ERROR(AddCheckpointPart(job_id, *change.checkpoint_part));
  if (change.checkpoint) RETURN_IF_ERROR(AddCheckpoint(change));
  if (change.evaluation) RETURN_IF_ERROR(AddEvaluation(job_id, *change.evaluation));
  for (const v1::StepReport& step : change.steps) {
    RETURN_IF_ERROR(
        db_->Run("INSERT OR REPLACE INTO step_history VALUES (?, ?, ?)",
                 {std::string_view(job_id), step.step(), Blob{step.SerializeAsString()}}));
  }
  if (IsTerminal(static_cast<JobState>(change.job.state())))
    RETURN_IF_ERROR(DropInitCheckpoint(job_id));
  // Last: all that comes with it is of the attempt before.
  return change.resume_step ? BeginAttempt(job_id, *change.resume_step) : absl::OkStatus();
}

absl::Status JobStore::AddEvaluation(const std::string& job_id, v1::Evaluation evaluation) {
  evaluation.clear_samples();
  return db_->Run(
      "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?)",
      {std::string_view(job_id), evaluation.step(), Blob{evaluation.SerializeAsString()}});
}

absl::Status JobStore::ReplacePlacements(const std::string& job_id,
                                         const std::vector<Placement>& ranks) {
  RETURN_IF_ERROR(db_->Run("DELETE FROM placements WHERE job_id = ?", {std::string_view(job_id)}));
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const Placement& at = ranks[rank];
    RETURN_IF_ERROR(
        db_->Run("INSERT INTO placements VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                 {std::string_view(job_id), static_cast<int64_t>(rank),
                  std::string_view(at.worker_id), static_cast<int64_t>(at.incarnation),
                  int64_t{at.slot}, int64_t{at.finished}, int64_t{at.gone}, at.last_step}));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> JobStore::Get(const std::string& job_id) {
  Rows rows = db_->Query("SELECT job FROM jobs WHERE job_id = ?", {std::string_view(job_id)});
  if (!rows.Next()) {
    RETURN_IF_ERROR(rows.status());
    return NoSuchJob(job_id);
  }
  return Parsed<v1::Job>(rows.Bytes(0), absl::StrCat("job '", job_id, "'"));
}

}  // namespace dropbp::server
