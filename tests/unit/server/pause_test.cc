// Jobs that a person pauses and resumes.
#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class PauseTest : public ClusterTest {
 protected:
  void SetUp() override { a_.Connect(*coordinator_); }

  void Pause(const std::string& job_id = "job") {
    const auto job = coordinator_->PauseJob(job_id);
    ASSERT_TRUE(job.ok()) << job.status();
  }
  void Resume(const std::string& job_id = "job") {
    const auto job = coordinator_->ResumeJob(job_id);
    ASSERT_TRUE(job.ok()) << job.status();
  }
  void EndRanks(int attempt) {
    for (const int rank : {0, 1}) {
      ASSERT_TRUE(a_.Exited(*coordinator_, "job", attempt, rank).ok());
    }
  }

  TestAgent a_{"a", 11, 2};
};

TEST_F(PauseTest, ARunningJobSavesFreesItsDevicesAndGoesOnWhereItWas) {
  SubmitAndRun("job", a_);
  Pause();
  EXPECT_EQ(State("job"), v1::Job::PAUSING);
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_TRUE(a_.Stops()[0].save_checkpoint());
  EXPECT_EQ(a_.Stops()[0].grace_seconds(), 600);
  TrainAndSave(a_, "job", 1, 0, 4);  // what was on its way
  EndRanks(1);
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  EXPECT_EQ(Get("job").state_message(),
            "Paused on request; goes on from the checkpoint after 4 steps when it is resumed.");
  EXPECT_THAT(Get("job").workers(), IsEmpty());

  SubmitAndRun("next", a_);  // on the devices that are free now
  Resume();
  EXPECT_EQ(State("job"), v1::Job::QUEUED);
  for (const int rank : {0, 1}) {
    ASSERT_TRUE(a_.Finished(*coordinator_, "next", 1, rank).ok());
    ASSERT_TRUE(a_.Exited(*coordinator_, "next", 1, rank).ok());
  }
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  EXPECT_EQ(a_.Starts().back().attempt(), 2);
  EXPECT_EQ(a_.Starts().back().checkpoint().step(), 4);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(PauseTest, AJobThatWaitsIsPausedAtOnce) {
  SubmitAndRun("first", a_);
  Submit("job");
  Pause();
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  EXPECT_EQ(Get("job").state_message(),
            "Paused on request; begins at the first step when it is resumed.");
  EXPECT_EQ(Get("job").queue_position(), 0);
  AdvanceTime(absl::Seconds(5), {&a_});
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  Resume();
  EXPECT_NE(State("job"), v1::Job::PAUSED);
}

TEST_F(PauseTest, AJobThatIsBeingCheckedIsCheckedAgainWhenItIsResumed) {
  Submit("job");
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
  Pause();
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  EXPECT_EQ(State("job"), v1::Job::PAUSED) << "the answer is not awaited any more";
  Resume();
  EXPECT_EQ(State("job"), v1::Job::PREPARING);
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  EXPECT_EQ(State("job"), v1::Job::STARTING);
}

TEST_F(PauseTest, RanksThatHaveNotMetAreStoppedWithoutSaving) {
  Submit("job");
  ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  Pause();
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_FALSE(a_.Stops()[0].save_checkpoint());
  EndRanks(1);
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
}

TEST_F(PauseTest, TheLastStepCanWinTheRace) {
  SubmitAndRun("job", a_);
  Pause();
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Finished(*coordinator_, "job", 1, rank).ok());
  EXPECT_EQ(State("job"), v1::Job::SUCCEEDED);
}

TEST_F(PauseTest, ACrashMeanwhileIsNotCharged) {
  SubmitAndRun("job", a_);
  Pause();
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, 0, 1).ok());
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(PauseTest, AskingTwiceIsNoError) {
  SubmitAndRun("job", a_);
  Pause();
  Pause();
  EXPECT_THAT(a_.Stops(), SizeIs(1));
  const absl::Status too_early = coordinator_->ResumeJob("job").status();
  EXPECT_TRUE(absl::IsFailedPrecondition(too_early));
  EXPECT_THAT(std::string(too_early.message()), HasSubstr("still PAUSING"));
  EndRanks(1);
  Pause();
  Resume();
  Resume();
  EXPECT_EQ(State("job"), v1::Job::STARTING);
  EXPECT_THAT(a_.Starts(), SizeIs(2));
}

TEST_F(PauseTest, APausedJobCanBeCancelled) {
  Submit("job");
  Pause();
  ASSERT_TRUE(coordinator_->CancelJob("job").ok());
  EXPECT_EQ(State("job"), v1::Job::CANCELLED);
  for (const absl::Status& status :
       {coordinator_->PauseJob("job").status(), coordinator_->ResumeJob("job").status()}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  }
  EXPECT_TRUE(absl::IsNotFound(coordinator_->PauseJob("nobody").status()));
}

TEST_F(PauseTest, OutlivesACrashOfTheCoordinator) {
  SubmitAndRun("job", a_);
  Pause();
  Crash();
  EXPECT_EQ(State("job"), v1::Job::PAUSING);
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  ASSERT_FALSE(a_.Stops().empty()) << "asked again";
  for (const v1::StopRanks& stop : a_.Stops()) EXPECT_TRUE(stop.save_checkpoint());
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 2);
  EndRanks(1);
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  Crash();
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
  a_.Connect(*coordinator_);
  EXPECT_THAT(a_.Starts(), IsEmpty());
  Resume();
  EXPECT_EQ(a_.Starts().back().checkpoint().step(), 2);
}

TEST_F(PauseTest, AWorkerThatIsLostMeanwhileEndsThePausing) {
  SubmitAndRun("job", a_);
  Pause();
  AdvanceTime(absl::Seconds(17));
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
}

}  // namespace
}  // namespace dropbp::server
