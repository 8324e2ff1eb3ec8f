#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/support/grpc_status.h"
#include "server/store/job_store.h"
#include "server/store/schema.h"
#include "tests/unit/server/temp_dir.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Job MakeJob(const std::string& id, std::map<std::string, std::string> labels = {}) {
  v1::Job job;
  job.set_job_id(id);
  job.set_state(v1::Job::QUEUED);
  job.mutable_spec()->mutable_labels()->insert(labels.begin(), labels.end());
  return job;
}

class JobStoreTest : public ::testing::Test {
 protected:
  JobStoreTest() { Reopen(); }

  // What a crash leaves is what the file holds.
  void Reopen() {
    store_.reset();
    auto opened = JobStore::Open(path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
  }

  std::string path() const { return dir_.path() + "/jobs.db"; }

  v1::Job Create(const std::string& id, const std::string& request = "",
                 const std::string& hash = "") {
    auto job = store_->Create({MakeJob(id), request, hash});
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : v1::Job();
  }

  JobChange Move(const std::string& id, std::vector<v1::Job::State> states) {
    JobChange change;
    change.job = store_->Get(id).value();
    for (v1::Job::State state : states) {
      v1::JobEvent& event = change.events.emplace_back();
      event.set_type(v1::JobEvent::STATE_CHANGED);
      event.set_state(state);
      change.job.set_state(state);
    }
    return change;
  }

  std::vector<std::string> Ids(const JobQuery& query) {
    std::vector<std::string> ids;
    const JobPage page = store_->List(query).value();
    for (const v1::Job& job : page.jobs) ids.push_back(job.job_id());
    return ids;
  }

  TempDir dir_;
  std::unique_ptr<JobStore> store_;
};

TEST_F(JobStoreTest, KeepsACreatedJobAndItsEventAcrossACrash) {
  Create("alpha");
  Reopen();
  EXPECT_EQ(store_->Get("alpha")->state(), v1::Job::QUEUED);
  const auto events = store_->EventsAfter("alpha", 0).value();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].sequence(), 1);
  EXPECT_EQ(events[0].type(), v1::JobEvent::CREATED);
}

TEST_F(JobStoreTest, RefusesAJobIdTwice) {
  Create("alpha");
  const auto again = store_->Create({MakeJob("alpha"), "", ""});
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(again.status()), "JOB_EXISTS");
}

TEST_F(JobStoreTest, RemembersTheAnswerOfARequest) {
  const v1::Job first = Create("alpha", "request-1", "hash-1");
  JobChange change = Move("alpha", {v1::Job::PREPARING});
  ASSERT_TRUE(store_->Apply(change).ok());
  Reopen();
  const auto answer = store_->FindAnswer("request-1", "hash-1");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(ReasonOf(store_->FindAnswer("request-1", "hash-2").status()), "REQUEST_ID_REUSED");
  EXPECT_TRUE(absl::IsNotFound(store_->FindAnswer("request-2", "hash-1").status()));
}

TEST_F(JobStoreTest, NumbersTheEventsOfAMove) {
  Create("alpha");
  JobChange change = Move("alpha", {v1::Job::CANCELLING, v1::Job::CANCELLED});
  ASSERT_TRUE(store_->Apply(change).ok());
  EXPECT_EQ(change.events[0].sequence(), 2);
  EXPECT_EQ(change.job.last_event(), 3);
  Reopen();
  EXPECT_EQ(store_->Get("alpha")->state(), v1::Job::CANCELLED);
  EXPECT_THAT(store_->EventsAfter("alpha", 1).value(), SizeIs(2));
}

TEST_F(JobStoreTest, RefusesAnIllegalMoveAndStoresNothingOfIt) {
  Create("alpha");
  JobChange change = Move("alpha", {v1::Job::RUNNING});
  change.placements = {Placement{.worker_id = "a"}};
  const absl::Status status = store_->Apply(change);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), "ILLEGAL_MOVE");
  EXPECT_THAT(std::string(status.message()), HasSubstr("QUEUED to RUNNING"));
  Reopen();
  EXPECT_EQ(store_->Get("alpha")->state(), v1::Job::QUEUED);
  EXPECT_THAT(store_->EventsAfter("alpha", 1).value(), IsEmpty());
  EXPECT_THAT(store_->LoadActive().value()[0].placements, IsEmpty());
}

TEST_F(JobStoreTest, RefusesAMoveWithoutItsEvent) {
  Create("alpha");
  JobChange change = Move("alpha", {v1::Job::PREPARING});
  change.events.clear();
  EXPECT_EQ(ReasonOf(store_->Apply(change)), "ILLEGAL_MOVE");
}

TEST_F(JobStoreTest, AppliesSeveralChangesTogetherOrNotAtAll) {
  Create("alpha");
  Create("beta");
  std::vector<JobChange> changes = {Move("alpha", {v1::Job::PREPARING}),
                                    Move("beta", {v1::Job::SUCCEEDED})};
  EXPECT_FALSE(store_->ApplyAll(absl::MakeSpan(changes)).ok());
  EXPECT_EQ(store_->Get("alpha")->state(), v1::Job::QUEUED);
}

TEST_F(JobStoreTest, ListsNewestFirstPageByPage) {
  for (int i = 0; i < 5; ++i) Create("job-" + std::to_string(i));
  JobQuery query;
  query.limit = 2;
  std::vector<std::string> seen;
  do {
    const JobPage page = store_->List(query).value();
    for (const v1::Job& job : page.jobs) seen.push_back(job.job_id());
    query.before_order = page.next_order;
  } while (query.before_order != 0);
  EXPECT_THAT(seen, ElementsAre("job-4", "job-3", "job-2", "job-1", "job-0"));
}

TEST_F(JobStoreTest, FiltersByStateAndByAllLabels) {
  ASSERT_TRUE(store_->Create({MakeJob("a", {{"team", "x"}, {"kind", "test"}}), "", ""}).ok());
  ASSERT_TRUE(store_->Create({MakeJob("b", {{"team", "x"}}), "", ""}).ok());
  JobChange change = Move("b", {v1::Job::PREPARING});
  ASSERT_TRUE(store_->Apply(change).ok());
  EXPECT_THAT(Ids({.states = {}, .labels = {{"team", "x"}}}), ElementsAre("b", "a"));
  EXPECT_THAT(Ids({.states = {}, .labels = {{"team", "x"}, {"kind", "test"}}}), ElementsAre("a"));
  EXPECT_THAT(Ids({.states = {v1::Job::PREPARING}, .labels = {}}), ElementsAre("b"));
}

TEST_F(JobStoreTest, GivesBackAGangWithItsProbesAndNewestSteps) {
  Create("alpha");
  JobChange change = Move("alpha", {v1::Job::PREPARING, v1::Job::STARTING});
  change.placements = {Placement{.worker_id = "a", .incarnation = ~0ull, .slot = 1},
                       Placement{.worker_id = "b", .finished = true, .gone = true, .last_step = 7}};
  change.shape.emplace().set_layers(3);
  change.sensitivities.emplace().set_step(9);
  for (int step = 0; step < 40; ++step) change.steps.emplace_back().set_step(step);
  ASSERT_TRUE(store_->Apply(change).ok());
  JobChange later;
  later.job = change.job;
  later.sensitivities.emplace().set_step(5);
  ASSERT_TRUE(store_->Apply(later).ok());
  Reopen();
  const std::vector<StoredJob> active = store_->LoadActive().value();
  ASSERT_THAT(active, SizeIs(1));
  EXPECT_EQ(active[0].shape->layers(), 3);
  ASSERT_THAT(active[0].placements, SizeIs(2));
  EXPECT_EQ(active[0].placements[0].incarnation, ~0ull);
  EXPECT_TRUE(active[0].placements[1].gone);
  EXPECT_EQ(active[0].placements[1].last_step, 7);
  ASSERT_THAT(active[0].sensitivities, SizeIs(2));
  EXPECT_EQ(active[0].sensitivities[0].step(), 5) << "by step";
  EXPECT_EQ(active[0].sensitivities[1].step(), 9);
  ASSERT_THAT(active[0].recent_steps, SizeIs(kRecentSteps));
  EXPECT_EQ(active[0].recent_steps.front().step(), 8);
  EXPECT_EQ(active[0].recent_steps.back().step(), 39);
}

TEST_F(JobStoreTest, ANewAttemptForgetsProbesAndSteps) {
  Create("alpha");
  JobChange change = Move("alpha", {v1::Job::PREPARING, v1::Job::STARTING});
  change.sensitivities.emplace();
  change.steps.emplace_back();
  ASSERT_TRUE(store_->Apply(change).ok());
  JobChange next = Move("alpha", {v1::Job::RESTARTING, v1::Job::STARTING});
  next.resume_step = 0;
  ASSERT_TRUE(store_->Apply(next).ok());
  const StoredJob stored = store_->LoadActive().value()[0];
  EXPECT_THAT(stored.sensitivities, IsEmpty());
  EXPECT_THAT(stored.recent_steps, IsEmpty());
}

TEST_F(JobStoreTest, DoesNotTakeUpEndedJobs) {
  Create("alpha");
  JobChange change = Move("alpha", {v1::Job::CANCELLING, v1::Job::CANCELLED});
  ASSERT_TRUE(store_->Apply(change).ok());
  EXPECT_THAT(store_->LoadActive().value(), IsEmpty());
  EXPECT_EQ(store_->CountByState().value().at(v1::Job::CANCELLED), 1);
}

TEST_F(JobStoreTest, RefusesASecondCoordinatorOnTheSameFile) {
  const absl::Status refused = JobStore::Open(path()).status();
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another program has this store open"));
}

TEST_F(JobStoreTest, MigratesAnEmptyFileAndRefusesANewerOne) {
  store_.reset();
  {
    auto db = Database::Open(path()).value();
    Rows rows = db->Query("PRAGMA user_version");
    ASSERT_TRUE(rows.Next());
    EXPECT_EQ(rows.Int(0), SchemaVersion());
  }
  {
    auto db = Database::Open(path()).value();
    ASSERT_TRUE(db->RunScript("PRAGMA user_version = 99").ok());
  }
  const auto opened = JobStore::Open(path());
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("version 99"));
}

TEST_F(JobStoreTest, WritesAheadAndSynchronously) {
  store_.reset();
  auto db = Database::Open(path()).value();
  Rows journal = db->Query("PRAGMA journal_mode");
  ASSERT_TRUE(journal.Next());
  EXPECT_EQ(journal.Bytes(0), "wal");
  Rows synchronous = db->Query("PRAGMA synchronous");
  ASSERT_TRUE(synchronous.Next());
  EXPECT_EQ(synchronous.Int(0), 2);  // FULL
}

}  // namespace
}  // namespace dropbp::server
