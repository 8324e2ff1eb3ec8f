// kill -9 of the coordinator: a new one on the same store, and agents that come back.
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class RecoveryTest : public ClusterTest {
 protected:
  RecoveryTest() { a_.Connect(*coordinator_); }
  TestAgent a_{"a", 11, 2};
};

TEST_F(RecoveryTest, ARunningJobGoesOnUntouched) {
  SubmitAndRun("job", a_);
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 0).ok());
  Crash();
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(10));
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  EXPECT_THAT(a_.Starts(), IsEmpty());
  EXPECT_THAT(a_.Stops(), IsEmpty());
  for (int step = 1; step < 10; ++step) {
    for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, rank).ok());
  EXPECT_EQ(State("job"), v1::Job::SUCCEEDED);
  EXPECT_EQ(Get("job").attempt(), 1);
}

TEST_F(RecoveryTest, StepsSentAgainAreCountedOnce) {
  SubmitAndRun("job", a_);
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 0).ok());
  AdvanceTime(absl::Seconds(1), {&a_});  // step 0 is durable
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 1).ok());
  Crash();  // step 1 was neither durable nor acknowledged
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  for (int step : {0, 1, 2}) {
    for (int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  const v1::JobProgress progress = Get("job").progress();
  EXPECT_EQ(progress.step(), 3);
  EXPECT_EQ(progress.tokens(), 300);
  EXPECT_DOUBLE_EQ(progress.backward_flops_done(), 6 * 60);
  EXPECT_DOUBLE_EQ(progress.tokens_per_second(), 200);
}

TEST_F(RecoveryTest, AGangThatWasMeetingIsRestartedUncharged) {
  Submit("job");
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  Crash();
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  EXPECT_FALSE(a_.Stops().empty());
  EXPECT_THAT(a_.Starts(), IsEmpty());
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, rank, 15).ok());
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  EXPECT_EQ(Get("job").attempt(), 2);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(RecoveryTest, AWorkerThatDoesNotComeBackIsLostAfterOneLease) {
  SubmitAndRun("job", a_);
  Crash();
  AdvanceTime(absl::Seconds(15));
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(1));
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(RecoveryTest, ATrainerThatDiedMeanwhileRestartsTheGang) {
  SubmitAndRun("job", a_);
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0)});
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").restarts(), 1);
}

TEST_F(RecoveryTest, AFinishThatWasTakenInIsRemembered) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, 1).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1).ok());
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0)});
  ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, 0).ok());
  EXPECT_EQ(State("job"), v1::Job::SUCCEEDED);
}

TEST_F(RecoveryTest, ACheckOfDataIsMadeAgain) {
  Submit("job");
  Crash();
  EXPECT_EQ(State("job"), v1::Job::QUEUED);
  a_.Connect(*coordinator_);
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  EXPECT_EQ(State("job"), v1::Job::STARTING);
}

TEST_F(RecoveryTest, ACheckedJobInTheQueueIsNotCheckedAgain) {
  SubmitAndRun("one", a_);
  Submit("two");
  ASSERT_TRUE(a_.Prepared(*coordinator_, "two").ok());
  Crash();
  a_.Connect(*coordinator_, {Live("one", 1, 0, 0), Live("one", 1, 1, 1)});
  EXPECT_THAT(a_.Frames([](const auto& f) { return f.has_prepare_job(); }), IsEmpty());
  EXPECT_EQ(Get("two").queue_position(), 1);
}

TEST_F(RecoveryTest, ACancellationIsFinished) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(coordinator_->CancelJob("job").ok());
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  EXPECT_FALSE(a_.Stops().empty());
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, rank, 15).ok());
  EXPECT_EQ(State("job"), v1::Job::CANCELLED);
}

TEST_F(RecoveryTest, RanksOfUnknownJobsAreToldToStop) {
  Crash();
  a_.Connect(*coordinator_, {Live("never-heard-of", 3, 0, 1)});
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_EQ(a_.Stops()[0].job_id(), "never-heard-of");
  EXPECT_EQ(a_.Stops()[0].attempt(), 3);
}

v1::TrainerReport ProbeBefore(int64_t step) {
  v1::TrainerReport report;
  report.mutable_probe()->set_step(step);
  report.mutable_probe()->add_base_norms(1.0);
  for (int unit = 0; unit < 4; ++unit) {
    v1::UnitNorms* norms = report.mutable_probe()->add_units();
    norms->set_unit(unit);
    norms->add_norms(1 - 0.1 * static_cast<double>(step + unit));
  }
  return report;
}

TEST_F(RecoveryTest, TheProbeThatWasTakenInIsRemembered) {
  SubmitAndRun("job", a_);
  ASSERT_TRUE(a_.Report(*coordinator_, "job", 1, 0, ProbeBefore(5)).ok());
  EXPECT_EQ(Get("job").plan().version(), 2);
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  ASSERT_TRUE(a_.Report(*coordinator_, "job", 1, 0, ProbeBefore(5)).ok());  // sent again
  EXPECT_EQ(Get("job").plan().version(), 2);
  EXPECT_EQ(Get("job").plan().probe_step(), 5);
}

TEST_F(RecoveryTest, AJobOfManyPlansIsTakenUpInTheMiddle) {
  v1::CreateJobRequest request = Request("job");
  request.mutable_spec()->mutable_dropbp()->set_probe_at(0.2);
  request.mutable_spec()->mutable_dropbp()->set_probe_every(2);
  ASSERT_TRUE(coordinator_->CreateJob(request).ok());
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  for (int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "job", 1, rank).ok());
  for (const int64_t step : {2, 4})
    ASSERT_TRUE(a_.Report(*coordinator_, "job", 1, 0, ProbeBefore(step)).ok());
  const v1::DropPlan before = Get("job").plan();
  EXPECT_EQ(before.version(), 3);
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  EXPECT_EQ(Get("job").plan().SerializeAsString(), before.SerializeAsString());
  // The next probe goes on from there, and a repeated one changes nothing.
  for (const int64_t step : {4, 6})
    ASSERT_TRUE(a_.Report(*coordinator_, "job", 1, 0, ProbeBefore(step)).ok());
  EXPECT_EQ(State("job"), v1::Job::RUNNING) << Get("job").state_message();
  EXPECT_EQ(Get("job").plan().version(), 4);
  EXPECT_EQ(Get("job").plan().probe_step(), 6);
}

TEST_F(RecoveryTest, AnswersTheSameRequestTheSameWay) {
  v1::CreateJobRequest request = Request("");
  request.set_request_id("r");
  const v1::Job first = coordinator_->CreateJob(request).value();
  Crash();
  EXPECT_EQ(coordinator_->CreateJob(request)->job_id(), first.job_id());
}

}  // namespace
}  // namespace dropbp::server
