// What is lost, and what must follow: trainers, agents, connections, time.
#include <sys/resource.h>

#include <csignal>

#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// While it lives, no file of this process can grow: what a full disk does.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit none{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_;
};

class FailureTest : public ClusterTest {
 protected:
  FailureTest() { a_.Connect(*coordinator_); }
  TestAgent a_{"a", 11, 2};
  TestAgent b_{"b", 22, 2};
};

TEST_F(FailureTest, ADeadTrainerStopsTheGangAndTheNextAttemptFollowsTheLastExit) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, /*signal=*/9).ok());
  v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::RESTARTING);
  EXPECT_EQ(job.restarts(), 1);
  EXPECT_THAT(job.state_message(), HasSubstr("Rank 1 was ended by signal 9"));
  EXPECT_THAT(job.state_message(), Not(HasSubstr("the last line"))) << "a cause is one line";
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_EQ(a_.Stops()[0].attempt(), 1);
  EXPECT_THAT(a_.Starts(), SizeIs(1));
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, /*signal=*/15).ok());
  job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::STARTING);
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 1);
  EXPECT_EQ(job.progress().step(), 0);
  ASSERT_THAT(a_.Starts(), SizeIs(2));
  EXPECT_EQ(a_.Starts()[1].attempt(), 2);
}

TEST_F(FailureTest, FramesOfAnOlderAttemptAreRefused) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, 9).ok());
  ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, 0, 3).ok());
  ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, 0).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, 9).ok());
  const v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::STARTING);
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.progress().step(), 0);
}

TEST_F(FailureTest, AWorkerThatDoesNotOwnTheRankIsNotHeard) {
  SubmitAndRun("job", a_);
  b_.Connect(*coordinator_);
  ASSERT_TRUE(b_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
}

TEST_F(FailureTest, TheRestartBudgetEndsTheJob) {
  SubmitAndRun("job", a_);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(Get("job").attempt(), attempt);
    for (int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", attempt, rank, 9).ok());
  }
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("Gave up after 2 restarts"));
  EXPECT_THAT(a_.Starts(), SizeIs(3));
}

TEST_F(FailureTest, AUserErrorIsNotRetried) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Fail(*coordinator_, "job", 1, 0, v1::TrainerFailure::USER_ERROR,
                      "out of memory: lower training.micro_batch_size")
                  .ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("lower training.micro_batch_size"));
  EXPECT_THAT(a_.Stops(), SizeIs(1));
  // The slots are free when the processes are.
  Submit("next");
  ASSERT_TRUE(a_.Prepared(*coordinator_, "next").ok());
  EXPECT_EQ(State("next"), v1::Job::QUEUED);
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, rank, 15).ok());
  EXPECT_EQ(State("next"), v1::Job::STARTING);
}

TEST_F(FailureTest, ARetryableFailureIsChargedOnceForTheGang) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Fail(*coordinator_, "job", 1, 0, v1::TrainerFailure::RETRYABLE, "peer lost").ok());
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, rank, 0, 1).ok());
  EXPECT_EQ(Get("job").attempt(), 2);
  EXPECT_EQ(Get("job").restarts(), 1);
}

TEST_F(FailureTest, AWorkerThatIsStoppedIsNotTheJobsFault) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Stopped(*coordinator_, "job", 1, 0).ok());
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(FailureTest, ALostWorkersGangMovesAfterTheLeaseAndIsNotCharged) {
  SubmitAndRun("job", a_);
  b_.Connect(*coordinator_);
  a_.Disconnect(*coordinator_);
  AdvanceTime(absl::Seconds(15), {&b_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(1), {&b_});
  const v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::STARTING);
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 0);
  EXPECT_THAT(job.workers(), ElementsAre("b", "b"));
  // It comes back with its old ranks: they are told to stop.
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  ASSERT_FALSE(a_.Stops().empty());
  EXPECT_EQ(a_.Stops()[0].attempt(), 1);
}

TEST_F(FailureTest, ARestartedAgentLosesItsRanksAtOnce) {
  SubmitAndRun("job", a_);
  a_.Disconnect(*coordinator_);
  a_.set_incarnation(12);
  a_.Connect(*coordinator_);
  const v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::STARTING);
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 0);
  EXPECT_THAT(a_.Starts(), SizeIs(1));
}

TEST_F(FailureTest, AnotherWorkerUnderTheNameOfAConnectedOneIsRefusedAndCostsNothing) {
  SubmitAndRun("job", a_);
  v1::SessionRequest frame;
  frame.mutable_hello()->set_worker_id("a");
  frame.mutable_hello()->set_incarnation(12);
  const auto intruder = std::make_shared<TestStream>();
  const absl::Status refused = coordinator_->Receive(intruder, frame);
  EXPECT_TRUE(absl::IsAlreadyExists(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("give each its own --worker-id"));
  coordinator_->Disconnected(intruder.get());
  EXPECT_FALSE(a_.stream->closed.has_value());
  ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, 0, 0).ok());
  EXPECT_EQ(Get("job").attempt(), 1);
  // Once that one is silent for a lease, its name is free.
  AdvanceTime(options_.lease + absl::Seconds(2));
  EXPECT_TRUE(coordinator_->Receive(intruder, frame).ok());
}

TEST_F(FailureTest, AShortCutOfTheNetworkCostsNothing) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, 0, 0).ok());
  a_.Disconnect(*coordinator_);
  AdvanceTime(absl::Seconds(10));
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  EXPECT_THAT(a_.Stops(), IsEmpty());
  EXPECT_THAT(a_.Starts(), IsEmpty());
  // Masks may have been lost: they come again from the next step on.
  ASSERT_FALSE(a_.Masks(0).empty());
  EXPECT_EQ(a_.Masks(0)[0].first_step(), 1);
  ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, 0, 1).ok());
  EXPECT_EQ(Get("job").attempt(), 1);
  EXPECT_EQ(Get("job").progress().step(), 2);
}

TEST_F(FailureTest, ARankThatIsMissingAfterAReconnectIsWaitedForOneLease) {
  SubmitAndRun("job", a_);
  a_.Disconnect(*coordinator_);
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0)});
  AdvanceTime(absl::Seconds(15), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(1), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("no longer has rank 1"));
}

TEST_F(FailureTest, ALostWorkerGivesItsDataCheckToAnother) {
  Submit("job");
  a_.Disconnect(*coordinator_);
  b_.Connect(*coordinator_);
  AdvanceTime(absl::Seconds(16), {&b_});
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
  ASSERT_TRUE(b_.Prepared(*coordinator_, "job").ok());
  EXPECT_EQ(State("job"), v1::Job::STARTING);
}

TEST_F(FailureTest, CancelStopsTheGangAndEndsWithItsLastProcess) {
  SubmitAndRun("job", a_);
  EXPECT_EQ(coordinator_->CancelJob("job")->state(), v1::Job::CANCELLING);
  EXPECT_EQ(coordinator_->CancelJob("job")->state(), v1::Job::CANCELLING);
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_EQ(a_.Stops()[0].grace_seconds(), 5);
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, 15).ok());
  EXPECT_EQ(State("job"), v1::Job::CANCELLING);
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  EXPECT_EQ(State("job"), v1::Job::CANCELLED);
  EXPECT_EQ(coordinator_->CancelJob("job")->state(), v1::Job::CANCELLED);
}

TEST_F(FailureTest, CancelEndsAWaitingJobAtOnce) {
  Submit("queued", 4);
  EXPECT_EQ(coordinator_->CancelJob("queued")->state(), v1::Job::CANCELLED);
  EXPECT_EQ(State("queued"), v1::Job::CANCELLED);
  EXPECT_THAT(a_.Stops(), IsEmpty());
  // The result of the check that was under way is of no use any more.
  ASSERT_TRUE(a_.Prepared(*coordinator_, "queued").ok());
  EXPECT_EQ(State("queued"), v1::Job::CANCELLED);
}

TEST_F(FailureTest, ACancelledJobEndsEvenIfItsWorkerIsLost) {
  SubmitAndRun("job", a_);
  a_.Disconnect(*coordinator_);
  ASSERT_TRUE(coordinator_->CancelJob("job").ok());
  AdvanceTime(absl::Seconds(16));
  EXPECT_EQ(State("job"), v1::Job::CANCELLED);
}

TEST_F(FailureTest, AnEndedJobCannotBeCancelled) {
  SubmitAndRun("job", a_);
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, rank).ok());
  const absl::Status status = coordinator_->CancelJob("job").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), "JOB_ENDED");
}

TEST_F(FailureTest, AStalledRankIsNamedAndTheGangRestarted) {
  SubmitAndRun("job", a_);
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 0).ok());
  ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, 0, 1).ok());
  AdvanceTime(absl::Seconds(60), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(1), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").restarts(), 1);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("Rank 1 made no progress for 1m1s"));
  EXPECT_THAT(Get("job").state_message(), HasSubstr("waiting for step 1"));
  EXPECT_THAT(a_.Stops(), SizeIs(1));
}

TEST_F(FailureTest, WritingResultsIsNoStall) {
  SubmitAndRun("job", a_);
  for (int step = 0; step < 10; ++step) {
    for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  AdvanceTime(absl::Seconds(300), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
}

TEST_F(FailureTest, AGangThatDoesNotMeetIsRestarted) {
  Submit("job");
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  AdvanceTime(absl::Seconds(601), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("not ready: 0, 1"));
}

TEST_F(FailureTest, APauseOfTheCoordinatorItselfIsForgiven) {
  SubmitAndRun("job", a_);
  clock_.Advance(absl::Hours(1));
  coordinator_->Tick();
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
}

TEST_F(FailureTest, AFinishWithoutItsFilesIsAFailure) {
  SubmitAndRun("job", a_, 1);
  v1::Artifact missing;
  missing.set_name("adapter_model.safetensors");
  missing.set_sha256(std::string(64, 'b'));
  ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, 0, {missing}).ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("'adapter_model.safetensors'"));
}

TEST_F(FailureTest, AFullDiskChangesNothingAndTheFrameComesAgain) {
  SubmitAndRun("job", a_);
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 0).ok());
  {
    const v1::CreateJobRequest other = Request("other");
    const FullDisk full;
    EXPECT_FALSE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
    EXPECT_FALSE(coordinator_->CancelJob("job").ok());
    EXPECT_FALSE(coordinator_->CreateJob(other).ok());
    AdvanceTime(absl::Seconds(3), {&a_});
    EXPECT_THAT(a_.Frames([](const auto& f) { return f.acknowledged() > 0; }), IsEmpty());
    EXPECT_EQ(State("job"), v1::Job::RUNNING);
    EXPECT_THAT(a_.Stops(), IsEmpty());
  }
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  Crash();
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").progress().step(), 1);
}

TEST_F(FailureTest, ACheckThatNobodyWaitsForBlocksNoOther) {
  Submit("one");
  a_.Disconnect(*coordinator_);  // with the order to check
  ASSERT_TRUE(coordinator_->CancelJob("one").ok());
  a_.Connect(*coordinator_);
  Submit("two");
  EXPECT_EQ(State("two"), v1::Job::PREPARING);
}

TEST_F(FailureTest, OneSessionForEachWorker) {
  const auto first = a_.stream;
  a_.Connect(*coordinator_);
  EXPECT_TRUE(first->closed.has_value());
  coordinator_->Disconnected(first.get());
  EXPECT_TRUE(coordinator_->ListWorkers()[0].connected());
}

}  // namespace
}  // namespace dropbp::server
