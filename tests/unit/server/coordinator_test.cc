// The way of a job through the coordinator, as long as nothing is lost.
#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CoordinatorTest : public ClusterTest {
 protected:
  CoordinatorTest() { agent_.Connect(*coordinator_); }
  TestAgent agent_{"a", 11, 2};
};

TEST_F(CoordinatorTest, WelcomesAWorkerWithLeaseAndHeartbeat) {
  ASSERT_THAT(agent_.stream->frames, SizeIs(1));
  const v1::WorkerWelcome& welcome = agent_.stream->frames[0].welcome();
  EXPECT_EQ(welcome.lease_seconds(), 15);
  EXPECT_EQ(welcome.heartbeat_seconds(), 3);
  EXPECT_EQ(welcome.acknowledged(), 0);
  const auto workers = coordinator_->ListWorkers();
  ASSERT_THAT(workers, SizeIs(1));
  EXPECT_TRUE(workers[0].connected());
  EXPECT_EQ(workers[0].slots_size(), 2);
}

TEST_F(CoordinatorTest, RefusesAFrameBeforeHello) {
  v1::SessionRequest frame;
  frame.mutable_heartbeat();
  const auto stranger = std::make_shared<TestStream>();
  EXPECT_EQ(ReasonOf(coordinator_->Receive(stranger, frame)), "HELLO_MISSING");
}

TEST_F(CoordinatorTest, TakesAJobFromTheQueueToItsArtifacts) {
  Submit("job");
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job").ok());
  v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::STARTING);
  EXPECT_EQ(job.attempt(), 1);
  EXPECT_THAT(job.workers(), ElementsAre("a", "a"));
  EXPECT_EQ(job.progress().total_steps(), 10);
  EXPECT_EQ(job.plan().version(), 1);
  EXPECT_EQ(job.plan().units_size(), 4);
  EXPECT_EQ(job.dataset_report().samples(), 80);
  ASSERT_THAT(agent_.Starts(), SizeIs(1));
  EXPECT_EQ(agent_.Starts()[0].world_size(), 2);
  EXPECT_EQ(agent_.Starts()[0].ranks_size(), 2);

  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Ready(*coordinator_, "job", 1, rank).ok());
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  for (int step = 0; step < 10; ++step) {
    for (int rank : {0, 1}) ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  v1::Artifact adapter;
  adapter.set_name("adapter_model.safetensors");
  adapter.set_sha256(UploadDataset());
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 1).ok());
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 0, {adapter}).ok());
  job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  ASSERT_THAT(job.artifacts(), SizeIs(1));
  EXPECT_EQ(job.artifacts(0).name(), "adapter_model.safetensors");
  EXPECT_TRUE(job.has_end_time());
  EXPECT_EQ(job.progress().step(), 10);
  EXPECT_THAT(agent_.Stops(), IsEmpty());
}

TEST_F(CoordinatorTest, ReportsProgressOverAllRanksAndOnce) {
  SubmitAndRun("job", agent_);
  for (int step = 0; step < 4; ++step) {
    for (int rank : {0, 1}) ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, 3).ok());  // again
  const v1::JobProgress progress = Get("job").progress();
  EXPECT_EQ(progress.step(), 4);
  EXPECT_EQ(progress.tokens(), 400);
  EXPECT_DOUBLE_EQ(progress.tokens_per_second(), 200);
  EXPECT_EQ(progress.eta().seconds(), 3);
  EXPECT_DOUBLE_EQ(progress.realised_drop_rate(), 0.4);
  EXPECT_DOUBLE_EQ(progress.backward_flops_done(), 8 * 60);
  EXPECT_EQ(progress.gradient_bytes_sent(), 40);
  EXPECT_EQ(progress.gradient_bytes_dense(), 80);
  EXPECT_TRUE(Get("job").has_start_time());
}

TEST_F(CoordinatorTest, SkipsFramesItHasSeenAndAcknowledgesWhatIsDurable) {
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, 0).ok());
  const auto acks = [this] {
    return agent_.Frames([](const auto& f) { return f.acknowledged() > 0; });
  };
  EXPECT_THAT(acks(), IsEmpty());
  AdvanceTime(absl::Seconds(1), {&agent_});
  ASSERT_THAT(acks(), SizeIs(1));
  EXPECT_EQ(acks()[0].acknowledged(), agent_.sequence());
}

TEST_F(CoordinatorTest, FailsAJobWhoseDataIsBadAtOnce) {
  Submit("job");
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job", "line 3: no supervised token").ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_EQ(Get("job").state_message(), "line 3: no supervised token");
  EXPECT_THAT(agent_.Starts(), IsEmpty());
}

TEST_F(CoordinatorTest, RepeatsACheckThatMayPassLater) {
  Submit("job");
  const auto prepares = [this] {
    return agent_.Frames([](const auto& f) { return f.has_prepare_job(); }).size();
  };
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job", "download failed", true).ok());
  EXPECT_EQ(State("job"), v1::Job::QUEUED);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("download failed"));
  EXPECT_EQ(prepares(), 1u);
  AdvanceTime(absl::Seconds(5), {&agent_});
  EXPECT_EQ(prepares(), 2u);
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job", "download failed", true).ok());
  AdvanceTime(absl::Seconds(10), {&agent_});
  EXPECT_EQ(prepares(), 3u);
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job", "download failed", true).ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);  // max_restarts is 2
}

TEST_F(CoordinatorTest, SaysWhereAJobStandsInTheQueueAndWhy) {
  SubmitAndRun("running", agent_);
  Submit("first", 2);
  Submit("second", 1);
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "first").ok());
  EXPECT_EQ(State("first"), v1::Job::QUEUED);
  EXPECT_EQ(Get("first").queue_position(), 1);
  EXPECT_EQ(Get("first").state_message(), "needs 2 cpu slots, 0 free of 2 in the pool");
  EXPECT_EQ(State("second"), v1::Job::PREPARING);
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "second").ok());
  EXPECT_EQ(Get("second").queue_position(), 2);
  EXPECT_EQ(Get("second").state_message(), "waits behind job 'first'");
  const JobPage page = coordinator_->ListJobs({}).value();
  EXPECT_EQ(page.jobs[0].state_message(), "waits behind job 'first'");
}

TEST_F(CoordinatorTest, StartsTheNextJobWhenTheSlotsAreFree) {
  SubmitAndRun("one", agent_);
  Submit("two");
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "two").ok());
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, "one", 1, rank).ok());
  EXPECT_EQ(State("one"), v1::Job::SUCCEEDED);
  EXPECT_EQ(State("two"), v1::Job::QUEUED);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Exited(*coordinator_, "one", 1, rank).ok());
  EXPECT_EQ(State("two"), v1::Job::STARTING);
}

TEST_F(CoordinatorTest, BroadcastsMasksAheadAndCountsOnTheProbe) {
  SubmitAndRun("job", agent_);
  for (int rank : {0, 1}) {
    ASSERT_THAT(agent_.Masks(rank), SizeIs(1));
    // Version 1 ends where the probe runs.
    EXPECT_EQ(agent_.Masks(rank)[0].first_step(), 0);
    EXPECT_EQ(agent_.Masks(rank)[0].steps(), 5);
  }
  v1::TrainerReport report;
  report.mutable_probe()->set_step(5);
  report.mutable_probe()->add_base_norms(1.0);
  for (int unit = 0; unit < 4; ++unit) {
    v1::UnitNorms* norms = report.mutable_probe()->add_units();
    norms->set_unit(unit);
    norms->add_norms(1.0 - 0.1 * unit);
  }
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 0, report).ok());
  const v1::Job job = Get("job");
  EXPECT_EQ(job.plan().version(), 2);
  EXPECT_EQ(job.plan().first_step(), 5);
  EXPECT_EQ(job.plan().allocation(), "quadratic");
  EXPECT_NEAR(job.plan().units(3).sensitivity(), 0.09, 1e-12);
  ASSERT_THAT(agent_.Masks(0), SizeIs(2));
  EXPECT_EQ(agent_.Masks(0)[1].plan_version(), 2);
  EXPECT_EQ(agent_.Masks(0)[1].first_step(), 5);
  EXPECT_EQ(agent_.Masks(0)[1].steps(), 5);
}

TEST_F(CoordinatorTest, FailsAJobWhoseRanksDrewAnotherPlan) {
  SubmitAndRun("job", agent_);
  v1::TrainerReport report;
  report.mutable_plan_digest()->set_plan_version(1);
  report.mutable_plan_digest()->set_hash(0xabc);
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 1, report).ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("rank 1 has hash 0000000000000abc"));
  EXPECT_THAT(agent_.Stops(), SizeIs(1));
}

TEST_F(CoordinatorTest, FailsAJobWhoseRanksUsedAnotherMask) {
  SubmitAndRun("job", agent_);
  v1::TrainerReport report;
  *report.mutable_step() = TestStep(0);
  report.mutable_step()->set_mask_hash(1);
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 0, report).ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("the mask of step 0 differs"));
}

TEST_F(CoordinatorTest, ServesTheRendezvousOfAnAttempt) {
  Submit("job");
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job").ok());
  v1::TrainerReport get, set;
  get.mutable_kv()->set_request_id(1);
  get.mutable_kv()->set_operation(v1::KvRequest::GET);
  get.mutable_kv()->add_keys("address");
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 1, get).ok());
  set = get;
  set.mutable_kv()->set_operation(v1::KvRequest::SET);
  set.mutable_kv()->set_value("here");
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 0, set).ok());
  const auto answers = agent_.Frames([](const auto& f) { return f.has_rank_command(); });
  ASSERT_THAT(answers, SizeIs(2));
  EXPECT_EQ(answers[1].rank_command().rank(), 1);
  EXPECT_EQ(answers[1].rank_command().command().kv().value(), "here");
}

TEST_F(CoordinatorTest, WatchersGetStoredEventsThenLiveOnesThenTheEnd) {
  SubmitAndRun("job", agent_);
  const auto late = std::make_shared<Recorder>();
  ASSERT_TRUE(coordinator_->Watch("job", 2, late).ok());
  ASSERT_FALSE(late->events.empty());
  EXPECT_EQ(late->events[0].sequence(), 3);
  const size_t stored = late->events.size();
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, rank, 0).ok());
  ASSERT_THAT(late->events, SizeIs(stored + 1));
  EXPECT_EQ(late->events.back().type(), v1::JobEvent::STEP);
  EXPECT_EQ(late->events.back().sequence(), 0);
  EXPECT_EQ(late->events.back().progress().step(), 1);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, rank).ok());
  EXPECT_EQ(late->events.back().state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(late->events.back().progress().step(), 1);
  ASSERT_TRUE(late->end.has_value());
  EXPECT_TRUE(late->end->ok());

  const auto after = std::make_shared<Recorder>();
  ASSERT_TRUE(coordinator_->Watch("job", 0, after).ok());
  for (size_t i = 0; i < after->events.size(); ++i) {
    EXPECT_EQ(after->events[i].sequence(), static_cast<int64_t>(i) + 1);
  }
  EXPECT_TRUE(after->end.has_value());
  EXPECT_EQ(ReasonOf(coordinator_->Watch("none", 0, after)), "JOB_NOT_FOUND");
}

TEST_F(CoordinatorTest, CreatesOncePerRequestId) {
  v1::CreateJobRequest request = Request("");
  request.set_request_id("r1");
  const v1::Job first = coordinator_->CreateJob(request).value();
  const v1::Job again = coordinator_->CreateJob(request).value();
  EXPECT_EQ(first.SerializeAsString(), again.SerializeAsString());
  EXPECT_THAT(coordinator_->ListJobs({})->jobs, SizeIs(1));
  request.mutable_spec()->set_priority(3);
  EXPECT_EQ(ReasonOf(coordinator_->CreateJob(request).status()), "REQUEST_ID_REUSED");
  v1::CreateJobRequest same_id = Request(first.job_id());
  EXPECT_EQ(ReasonOf(coordinator_->CreateJob(same_id).status()), "JOB_EXISTS");
}

TEST_F(CoordinatorTest, ValidateOnlyStoresNothing) {
  v1::CreateJobRequest request = Request("job");
  request.set_validate_only(true);
  const v1::Job job = coordinator_->CreateJob(request).value();
  EXPECT_EQ(job.spec().training().schedule(), v1::TrainingSpec::COSINE);
  EXPECT_TRUE(absl::IsNotFound(coordinator_->GetJob("job").status()));
}

TEST_F(CoordinatorTest, ValidateOnlySaysThatNoWorkerHasTheModelAndWhichThereAre) {
  v1::CreateJobRequest request = Request("job");
  request.set_validate_only(true);
  request.mutable_spec()->set_model("tony");
  EXPECT_EQ(coordinator_->CreateJob(request)->state_message(),
            "No worker could run it now: model: found 'tony', the connected workers have tiny.");
  agent_.Disconnect(*coordinator_);
  EXPECT_EQ(coordinator_->CreateJob(request)->state_message(), "") << "no worker";
}

TEST_F(CoordinatorTest, NamesEveryViolationAtOnce) {
  v1::CreateJobRequest request = Request("Bad_Id");
  request.mutable_spec()->mutable_training()->set_learning_rate(-1);
  request.mutable_spec()->mutable_dropbp()->set_drop_rate(1);
  const absl::Status status = coordinator_->CreateJob(request).status();
  std::vector<std::string> fields;
  for (const auto& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("job_id", "training.learning_rate",
                                                      "dropbp.drop_rate"));
}

TEST_F(CoordinatorTest, RefusesAnUnknownDataset) {
  v1::CreateJobRequest request = Request("job");
  request.mutable_spec()->mutable_dataset()->set_artifact(std::string(64, 'a'));
  const absl::Status status = coordinator_->CreateJob(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), "DATASET_NOT_FOUND");
  EXPECT_EQ(ViolationsOf(status).at(0).field, "dataset.artifact");
  request = Request("job");
  (*request.mutable_spec()->mutable_dataset()->mutable_mix())[std::string(64, 'a')] = 1;
  EXPECT_EQ(ViolationsOf(coordinator_->CreateJob(request).status()).at(0).field, "dataset.mix");
}

TEST_F(CoordinatorTest, KeepsWhatPeopleCallAFileAndCallsItThatInErrors) {
  v1::CreateJobRequest request = Request("job");
  const std::string sha256 = request.spec().dataset().artifact();
  (*request.mutable_file_names())[sha256] = "data/train.jsonl";
  ASSERT_TRUE(coordinator_->CreateJob(request).ok());
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job", "file " + sha256 + ":3: no key").ok());
  EXPECT_EQ(Get("job").state_message(), "file data/train.jsonl:3: no key");
  Crash();
  EXPECT_EQ(Get("job").file_names().at(sha256), "data/train.jsonl");
}

TEST_F(CoordinatorTest, TakesNamesOfTheJobsOwnFilesOnly) {
  v1::CreateJobRequest request = Request("job");
  (*request.mutable_file_names())[std::string(64, 'a')] = "other.jsonl";
  EXPECT_EQ(ViolationsOf(coordinator_->CreateJob(request).status()).at(0).field, "file_names");
  request = Request("job");
  std::string& name = (*request.mutable_file_names())[request.spec().dataset().artifact()];
  for (const std::string& illegal :
       {std::string(), std::string(4097, 'n'), std::string("a\x1b[2J")}) {
    name = illegal;
    EXPECT_THAT(ViolationsOf(coordinator_->CreateJob(request).status()).at(0).description,
                HasSubstr("legal is 1 to 4096 bytes without control characters"));
  }
}

TEST_F(CoordinatorTest, KeepsTrainersLogs) {
  SubmitAndRun("job", agent_);
  v1::SessionRequest frame;
  frame.mutable_rank_log()->set_job_id("job");
  frame.mutable_rank_log()->set_attempt(1);
  frame.mutable_rank_log()->set_text("hello\n");
  ASSERT_TRUE(agent_.Send(*coordinator_, frame).ok());
  EXPECT_EQ(logs_.Read({"job", 1, 0}, 0, 100).value(), "hello\n");
}

TEST_F(CoordinatorTest, ShutdownEndsSessionsAndWatchesAndKeepsProgress) {
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, 0).ok());
  const auto watcher = std::make_shared<Recorder>();
  ASSERT_TRUE(coordinator_->Watch("job", 0, watcher).ok());
  coordinator_->Shutdown();
  EXPECT_TRUE(absl::IsUnavailable(watcher->end.value()));
  EXPECT_TRUE(absl::IsUnavailable(agent_.stream->closed.value()));
  Crash();
  EXPECT_EQ(Get("job").progress().step(), 1);
}

}  // namespace
}  // namespace dropbp::server
