// What is named as the cause where one rank's end breaks the others, and they are heard in any
// order.
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kReset[] = "step 7: all-reduce: gloo: Connection reset by peer";

class CauseTest : public ClusterTest {
 protected:
  void SetUp() override {
    a_.Connect(*coordinator_);
    SubmitAndRun("job", a_);
  }

  void LosesItsPeer(int rank, int attempt = 1) {
    ASSERT_TRUE(
        a_.Fail(*coordinator_, "job", attempt, rank, v1::TrainerFailure::RETRYABLE, kReset).ok());
  }
  void Exits(int rank, int signal, int exit_code = 0, int attempt = 1) {
    ASSERT_TRUE(a_.Exited(*coordinator_, "job", attempt, rank, signal, exit_code).ok());
  }
  std::string Message() { return Get("job").state_message(); }

  TestAgent a_{"a", 11, 2};
};

TEST_F(CauseTest, ASignalIsNamedThoughTheLostPeerIsHeardOfFirst) {
  LosesItsPeer(1);
  EXPECT_EQ(State("job"), v1::Job::RUNNING) << "who was lost is not known yet";
  Exits(1, 0, 1);
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  Exits(0, 9);
  EXPECT_EQ(Get("job").attempt(), 2);
  EXPECT_EQ(Get("job").restarts(), 1);
  const std::vector<v1::JobEvent> events = Events("job");
  std::vector<std::string> incidents;
  for (const v1::JobEvent& event : events) {
    EXPECT_THAT(event.message(), Not(HasSubstr("reset by peer")));
    if (event.type() == v1::JobEvent::INCIDENT) incidents.push_back(event.message());
  }
  ASSERT_THAT(incidents, SizeIs(1));
  EXPECT_EQ(incidents[0],
            "Rank 0 was ended by signal 9; was its machine out of memory? Set "
            "training.activation_checkpointing, make training.micro_batch_size or "
            "dataset.max_length smaller or dropbp.drop_rate larger, or use method qlora.\n"
            "Its last lines:\nthe last line");
}

TEST_F(CauseTest, ASignalIsNamedThatIsHeardOfFirst) {
  Exits(0, 9);
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_THAT(Message(), HasSubstr("Rank 0 was ended by signal 9"));
  LosesItsPeer(1);
  EXPECT_THAT(Message(), HasSubstr("Rank 0 was ended by signal 9"));
  Exits(1, 0, 1);
  EXPECT_EQ(Get("job").restarts(), 1);
}

TEST_F(CauseTest, TheLastMessageOfAJobNamesTheSignal) {
  for (int attempt = 1; attempt <= 3; ++attempt) {
    LosesItsPeer(1, attempt);
    Exits(1, 0, 1, attempt);
    Exits(0, 9, 0, attempt);
  }
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_THAT(Message(), StartsWith("Gave up after 2 restarts (max_restarts = 2): Rank 0 was ended "
                                    "by signal 9;"));
}

TEST_F(CauseTest, ARanksOwnErrorIsNamedThoughTheLostPeerIsHeardOfFirst) {
  LosesItsPeer(1);
  ASSERT_TRUE(
      a_.Fail(*coordinator_, "job", 1, 0, v1::TrainerFailure::USER_ERROR, "out of memory").ok());
  EXPECT_EQ(State("job"), v1::Job::FAILED);
  EXPECT_EQ(Message(), "Rank 0: out of memory");
}

TEST_F(CauseTest, AnExitWithoutAWordIsNamedBeforeALostPeer) {
  LosesItsPeer(1);
  Exits(0, 0, 3);
  EXPECT_THAT(Message(), HasSubstr("Rank 0 ended with exit code 3."));
}

TEST_F(CauseTest, ALostPeerIsTheCauseOnceNothingElseIsHeardOfInTime) {
  LosesItsPeer(1);
  AdvanceTime(absl::Seconds(1), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(1), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_THAT(Message(), HasSubstr("Rank 1: " + std::string(kReset)));
  EXPECT_THAT(a_.Stops(), SizeIs(1));
}

TEST_F(CauseTest, NobodyIsWaitedForWhenAllRanksLostEachOther) {
  LosesItsPeer(1);
  LosesItsPeer(0);
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_THAT(Message(), HasSubstr("Rank 1: " + std::string(kReset)));
  EXPECT_EQ(Get("job").restarts(), 1);
}

TEST_F(CauseTest, AWorkerThatWasStoppedIsTheCauseAndCostsNothing) {
  LosesItsPeer(1);
  ASSERT_TRUE(a_.Stopped(*coordinator_, "job", 1, 0).ok());
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
  EXPECT_EQ(Get("job").restarts(), 0);
}

TEST_F(CauseTest, ABrokenGangIsNotAskedToSaveBeforeAPause) {
  LosesItsPeer(1);
  ASSERT_TRUE(coordinator_->PauseJob("job").ok());
  EXPECT_EQ(State("job"), v1::Job::PAUSING);
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_FALSE(a_.Stops()[0].save_checkpoint());
  Exits(1, 0, 1);
  Exits(0, 15);
  EXPECT_EQ(State("job"), v1::Job::PAUSED);
}

TEST_F(CauseTest, ACoordinatorThatRestartsMeanwhileHearsTheCauseToo) {
  LosesItsPeer(1);
  Exits(1, 0, 1);
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0)});
  Exits(0, 9);
  EXPECT_EQ(Get("job").attempt(), 2);
  EXPECT_THAT(Events("job").back().message(), StartsWith("Attempt 2"));
}

}  // namespace
}  // namespace dropbp::server
