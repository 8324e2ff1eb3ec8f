// Workers that are taken out of use: by the end of their process, or by a person.
#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct LossCounter : CoordinatorObserver {
  void OnWorkerLost() override { ++lost; }
  int lost = 0;
};

class DrainTest : public ClusterTest {
 protected:
  DrainTest() {
    options_.observer = &counter_;
    Crash();
  }
  ~DrainTest() override { coordinator_.reset(); }

  // SIGTERM of the agent's process.
  void Leave(TestAgent& agent, double grace_seconds = 7) {
    v1::SessionRequest frame;
    frame.mutable_draining()->set_grace_seconds(grace_seconds);
    ASSERT_TRUE(agent.Send(*coordinator_, frame).ok());
  }
  void Stopped(TestAgent& agent, const std::string& job, int attempt, int rank) {
    ASSERT_TRUE(agent.Stopped(*coordinator_, job, attempt, rank).ok());
  }
  absl::StatusOr<v1::Worker> Drain(const std::string& worker, bool undo = false,
                                   bool keep_jobs = false) {
    v1::DrainWorkerRequest request;
    request.set_worker_id(worker);
    request.set_undo(undo);
    request.set_keep_jobs(keep_jobs);
    return coordinator_->DrainWorker(request);
  }
  bool Draining(size_t worker) { return coordinator_->ListWorkers().at(worker).draining(); }

  LossCounter counter_;
  TestAgent a_{"a", 11, 2};
  TestAgent b_{"b", 22, 2};
};

TEST_F(DrainTest, AJobMovesToAnotherWorkerAndItsBudgetIsNotCharged) {
  a_.Connect(*coordinator_);
  SubmitAndRun("job", a_);
  b_.Connect(*coordinator_);
  Leave(a_);
  v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::RESTARTING);
  EXPECT_THAT(job.state_message(), HasSubstr("0 of 2 charged"));
  EXPECT_THAT(job.state_message(), HasSubstr("Worker 'a' is being stopped."));
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_EQ(a_.Stops()[0].grace_seconds(), 7) << "the grace that the agent has itself";
  ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, 1, 0).ok());
  EXPECT_THAT(a_.Stops(), SizeIs(1)) << "a report that was on its way must not shorten the grace";
  EXPECT_THAT(b_.Starts(), IsEmpty()) << "ranks of the old attempt still live";
  for (const int rank : {0, 1}) Stopped(a_, "job", 1, rank);
  job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::STARTING);
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 0);
  ASSERT_THAT(b_.Starts(), SizeIs(1));
  EXPECT_THAT(a_.Starts(), SizeIs(1)) << "only the first attempt";
}

TEST_F(DrainTest, TheFarHalfOfAGangIsStoppedToo) {
  TestAgent near("a", 11, 1);
  TestAgent far("b", 22, 1);
  near.Connect(*coordinator_);
  far.Connect(*coordinator_);
  Submit("job");
  ASSERT_TRUE(near.Prepared(*coordinator_, "job").ok());
  ASSERT_THAT(far.Starts(), SizeIs(1));
  Leave(near);
  ASSERT_THAT(far.Stops(), SizeIs(1));
  // What a broken connection does to the other rank is no crash any more.
  ASSERT_TRUE(
      far.Fail(*coordinator_, "job", 1, 1, v1::TrainerFailure::RETRYABLE, "peer gone").ok());
  ASSERT_TRUE(far.Exited(*coordinator_, "job", 1, 1, 0, 1).ok());
  Stopped(near, "job", 1, 0);
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").restarts(), 0);
  EXPECT_EQ(Get("job").state_message(),
            "needs 2 cpu slots, 1 free of 1 in the pool; waiting for another worker, since these "
            "are being drained: a");
}

TEST_F(DrainTest, AnAgentIsAnsweredAtOnce) {
  a_.Connect(*coordinator_);
  Leave(a_);
  ASSERT_FALSE(a_.stream->frames.empty());
  EXPECT_EQ(a_.stream->frames.back().acknowledged(), a_.sequence());
}

TEST_F(DrainTest, AJobThatOnlyHasToHandOverItsResultsMayDoSo) {
  a_.Connect(*coordinator_);
  SubmitAndRun("job", a_);
  for (int64_t step = 0; step < 10; ++step) {
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  Leave(a_);
  EXPECT_THAT(a_.Stops(), IsEmpty());
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, rank).ok());
  EXPECT_EQ(State("job"), v1::Job::SUCCEEDED);
}

TEST_F(DrainTest, ACheckOfDataIsRepeatedElsewhere) {
  a_.Connect(*coordinator_);
  Submit("job");
  b_.Connect(*coordinator_);
  Leave(a_);
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("Worker 'b' checks"));
  ASSERT_TRUE(b_.Prepared(*coordinator_, "job").ok());
  EXPECT_THAT(b_.Starts(), SizeIs(1));
}

TEST_F(DrainTest, AJobThatFindsNoOtherWorkerSaysWhatItWaitsFor) {
  a_.Connect(*coordinator_);
  Leave(a_);
  Submit("job");
  EXPECT_EQ(State("job"), v1::Job::QUEUED);
  EXPECT_EQ(Get("job").state_message(),
            "no worker is in use; waiting for another worker, since these are being drained: a");
  b_.Connect(*coordinator_);
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
}

TEST_F(DrainTest, ACoordinatorThatComesBackHearsItFromTheHello) {
  a_.Connect(*coordinator_);
  SubmitAndRun("job", a_);
  Crash();
  v1::SessionRequest hello;
  hello.mutable_hello()->set_worker_id("a");
  hello.mutable_hello()->set_incarnation(11);
  for (const int rank : {0, 1}) *hello.mutable_hello()->add_ranks() = Live("job", 1, rank, rank);
  hello.mutable_hello()->mutable_draining()->set_grace_seconds(3);
  ASSERT_TRUE(coordinator_->Receive(std::make_shared<TestStream>(), hello).ok());
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_TRUE(Draining(0));
}

TEST_F(DrainTest, ARestartedAgentIsInUseAgain) {
  a_.Connect(*coordinator_);
  Leave(a_);
  EXPECT_TRUE(Draining(0));
  a_.Disconnect(*coordinator_);
  a_.set_incarnation(12);
  a_.Connect(*coordinator_);
  EXPECT_FALSE(Draining(0));
}

TEST_F(DrainTest, AWorkerThatWasStoppedIsForgottenAndCountsAsLostOnlyWithTrainersLeft) {
  for (const bool in_good_order : {true, false}) {
    a_.Connect(*coordinator_);
    const std::string job = in_good_order ? "first" : "second";
    SubmitAndRun(job, a_);
    Leave(a_);
    Stopped(a_, job, 1, 0);
    if (in_good_order) Stopped(a_, job, 1, 1);
    a_.Disconnect(*coordinator_);
    AdvanceTime(options_.lease + absl::Seconds(2));
    EXPECT_THAT(coordinator_->ListWorkers(), IsEmpty());
    EXPECT_EQ(counter_.lost, in_good_order ? 0 : 1);
    EXPECT_TRUE(coordinator_->CancelJob(job).ok());
    a_.set_incarnation(12);
  }
}

TEST_F(DrainTest, APersonDrainsAWorkerAndTakesItBack) {
  a_.Connect(*coordinator_);
  SubmitAndRun("job", a_);
  ASSERT_TRUE(Drain("a").ok());
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  for (const int rank : {0, 1}) Stopped(a_, "job", 1, rank);
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_THAT(Get("job").state_message(), HasSubstr("waiting for another worker"));
  const auto worker = Drain("a", /*undo=*/true);
  ASSERT_TRUE(worker.ok());
  EXPECT_FALSE(worker->draining());
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(DrainTest, APersonMayLetJobsGoOnToTheirEnd) {
  a_.Connect(*coordinator_);
  SubmitAndRun("job", a_, 1);
  ASSERT_TRUE(Drain("a", /*undo=*/false, /*keep_jobs=*/true).ok());
  Submit("next", 1);
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  EXPECT_EQ(State("next"), v1::Job::QUEUED);
  ASSERT_TRUE(Drain("a").ok()) << "draining twice is no error";
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
}

TEST_F(DrainTest, AWorkerThatNobodyKnowsIsNotFound) {
  const absl::Status status = Drain("nobody").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(ReasonOf(status), "WORKER_NOT_FOUND");
}

}  // namespace
}  // namespace dropbp::server
