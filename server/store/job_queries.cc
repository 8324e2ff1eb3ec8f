// The reading side of JobStore: pages, events, and what recovery needs.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/store/job_store.h"

namespace dropbp::server {
namespace {

absl::Status Unreadable(const std::string& job_id, const std::string& what) {
  return absl::DataLossError(
      absl::StrCat("job store: ", what, " of job '", job_id, "' cannot be read"));
}

// All rows of a query of one message each.
template <typename Message>
absl::StatusOr<std::vector<Message>> ReadAll(Rows rows, const std::string& job_id,
                                             const std::string& what) {
  std::vector<Message> messages;
  while (rows.Next()) {
    if (!messages.emplace_back().ParseFromString(rows.Bytes(0))) return Unreadable(job_id, what);
  }
  RETURN_IF_ERROR(rows.status());
  return messages;
}

// WHERE clause and values of a query.
struct Filter {
  std::string where = "1";
  std::vector<SqlValue> values;
};

Filter FilterOf(const JobQuery& query) {
  Filter filter;
  if (query.before_order > 0) {
    filter.where += " AND create_order < ?";
    filter.values.push_back(query.before_order);
  }
  if (!query.states.empty()) {
    absl::StrAppend(&filter.where, " AND state IN (", absl::StrJoin(query.states, ","), ")");
  }
  for (const auto& [key, value] : query.labels) {
    filter.where +=
        " AND EXISTS (SELECT 1 FROM labels WHERE labels.job_id = jobs.job_id AND key = ?"
        " AND value = ?)";
    filter.values.push_back(std::string_view(key));
    filter.values.push_back(std::string_view(value));
  }
  return filter;
}

}  // namespace

absl::StatusOr<JobPage> JobStore::List(const JobQuery& query) {
  Filter filter = FilterOf(query);
  // One more than asked tells whether there is a next page.
  filter.values.push_back(int64_t{query.limit} + 1);
  Rows rows = db_->QueryWith(absl::StrCat("SELECT create_order, job FROM jobs WHERE ", filter.where,
                                          " ORDER BY create_order DESC LIMIT ?"),
                             filter.values);
  JobPage page;
  int64_t last_order = 0;
  while (rows.Next()) {
    if (static_cast<int>(page.jobs.size()) == query.limit) {
      page.next_order = last_order;
      break;
    }
    last_order = rows.Int(0);
    if (!page.jobs.emplace_back().ParseFromString(rows.Bytes(1))) {
      return Unreadable(absl::StrCat("#", last_order), "the record");
    }
  }
  RETURN_IF_ERROR(rows.status());
  return page;
}

absl::StatusOr<std::vector<v1::JobEvent>> JobStore::EventsAfter(const std::string& job_id,
                                                                int64_t sequence) {
  return ReadAll<v1::JobEvent>(
      db_->Query("SELECT event FROM events WHERE job_id = ? AND sequence > ? ORDER BY sequence",
                 {std::string_view(job_id), sequence}),
      job_id, "an event");
}

absl::StatusOr<std::vector<v1::JobEvent>> JobStore::NewestEvents(const std::string& job_id,
                                                                 int limit) {
  return ReadAll<v1::JobEvent>(
      db_->Query("SELECT event FROM (SELECT sequence, event FROM events WHERE job_id = ?"
                 " ORDER BY sequence DESC LIMIT ?) ORDER BY sequence",
                 {std::string_view(job_id), int64_t{limit}}),
      job_id, "an event");
}

absl::StatusOr<std::vector<v1::StepReport>> JobStore::StepsFrom(const std::string& job_id,
                                                                int64_t first_step, int limit) {
  return ReadAll<v1::StepReport>(
      db_->Query(
          "SELECT report FROM step_history WHERE job_id = ? AND step >= ? ORDER BY step LIMIT ?",
          {std::string_view(job_id), first_step, int64_t{limit}}),
      job_id, "a step report");
}

absl::StatusOr<std::vector<v1::Evaluation>> JobStore::Evaluations(const std::string& job_id) {
  return ReadAll<v1::Evaluation>(
      db_->Query("SELECT evaluation FROM evaluations WHERE job_id = ? ORDER BY step",
                 {std::string_view(job_id)}),
      job_id, "an evaluation");
}

absl::StatusOr<std::vector<v1::Sensitivities>> JobStore::SensitivitiesOf(
    const std::string& job_id) {
  return ReadAll<v1::Sensitivities>(
      db_->Query("SELECT report FROM sensitivities WHERE job_id = ? ORDER BY step",
                 {std::string_view(job_id)}),
      job_id, "a probe");
}

absl::StatusOr<std::vector<StoredJob>> JobStore::LoadActive() {
  std::vector<StoredJob> jobs;
  Rows rows = db_->Query(
      "SELECT create_order, job, model_shape FROM jobs WHERE state NOT IN (?, ?, ?)"
      " ORDER BY create_order",
      {int64_t{v1::Job::SUCCEEDED}, int64_t{v1::Job::FAILED}, int64_t{v1::Job::CANCELLED}});
  while (rows.Next()) {
    StoredJob& stored = jobs.emplace_back();
    stored.create_order = rows.Int(0);
    if (!stored.job.ParseFromString(rows.Bytes(1))) {
      return Unreadable(absl::StrCat("#", stored.create_order), "the record");
    }
    if (const std::string shape = rows.Bytes(2); !shape.empty()) {
      if (!stored.shape.emplace().ParseFromString(shape)) {
        return Unreadable(stored.job.job_id(), "the model's shape");
      }
    }
  }
  RETURN_IF_ERROR(rows.status());
  for (StoredJob& stored : jobs) {
    RETURN_IF_ERROR(LoadGang(stored));
    RETURN_IF_ERROR(LoadHistory(stored));
  }
  return jobs;
}

absl::Status JobStore::LoadGang(StoredJob& stored) {
  Rows rows = db_->Query(
      "SELECT worker_id, incarnation, slot, finished, gone, last_step FROM placements"
      " WHERE job_id = ? ORDER BY rank",
      {std::string_view(stored.job.job_id())});
  while (rows.Next()) {
    stored.placements.push_back({.worker_id = rows.Bytes(0),
                                 .incarnation = static_cast<uint64_t>(rows.Int(1)),
                                 .slot = static_cast<int>(rows.Int(2)),
                                 .finished = rows.Int(3) != 0,
                                 .gone = rows.Int(4) != 0,
                                 .last_step = rows.Int(5)});
  }
  return rows.status();
}

absl::Status JobStore::LoadHistory(StoredJob& stored) {
  const std::string& job_id = stored.job.job_id();
  ASSIGN_OR_RETURN(stored.sensitivities, SensitivitiesOf(job_id));
  Rows steps = db_->Query(
      "SELECT report FROM (SELECT step, report FROM step_history WHERE job_id = ?"
      " ORDER BY step DESC LIMIT ?) ORDER BY step",
      {std::string_view(job_id), int64_t{kRecentSteps}});
  while (steps.Next()) {
    if (!stored.recent_steps.emplace_back().ParseFromString(steps.Bytes(0))) {
      return Unreadable(job_id, "a step report");
    }
  }
  return steps.status();
}

absl::StatusOr<std::map<v1::Job::State, int64_t>> JobStore::CountByState() {
  std::map<v1::Job::State, int64_t> counts;
  Rows rows = db_->Query("SELECT state, COUNT(*) FROM jobs GROUP BY state");
  while (rows.Next()) counts[static_cast<v1::Job::State>(rows.Int(0))] = rows.Int(1);
  RETURN_IF_ERROR(rows.status());
  return counts;
}

}  // namespace dropbp::server
