#include "server/web/step_curves.h"

#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StepCurvesTest : public ClusterTest {
 protected:
  StepCurvesTest() { agent_.Connect(*coordinator_); }

  void Steps(int attempt, int64_t first, int64_t last) {
    for (int64_t step = first; step <= last; ++step) {
      ASSERT_TRUE(agent_.Step(*coordinator_, "job", attempt, 0, step).ok());
    }
  }

  v1::StepHistory Look(StepCurves& curves) {
    const auto history = curves.Look("job");
    EXPECT_TRUE(history.ok()) << history.status();
    return history.value_or(v1::StepHistory());
  }

  TestAgent agent_{"a", 11, 1};
};

TEST_F(StepCurvesTest, ShowTheStepsThatTheJobsProgressCounts) {
  SubmitAndRun("job", agent_, 1);
  StepCurves curves(*coordinator_);
  EXPECT_THAT(Look(curves).step(), IsEmpty());
  Steps(1, 0, 2);
  const v1::StepHistory history = Look(curves);
  EXPECT_EQ(history.attempt(), 1);
  EXPECT_EQ(history.known_steps(), Get("job").progress().step());
  EXPECT_THAT(history.step(), ElementsAre(1, 2, 3));
  EXPECT_THAT(history.loss(), ElementsAre(2.0, DoubleEq(1.9), DoubleEq(1.8)));
  EXPECT_THAT(history.tokens_per_second(), ElementsAre(200, 200, 200));
  EXPECT_EQ(history.loss(2), Get("job").progress().loss());
}

TEST_F(StepCurvesTest, ShowValidationLossesBesideThem) {
  SubmitAndRun("job", agent_, 1);
  Steps(1, 0, 3);
  for (const int64_t step : {2, 4}) {
    v1::TrainerReport report;
    report.mutable_evaluation()->set_step(step);
    report.mutable_evaluation()->set_loss(3 - 0.25 * static_cast<double>(step));
    report.mutable_evaluation()->set_supervised_tokens(10);
    ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 0, report).ok());
  }
  StepCurves curves(*coordinator_);
  const v1::StepHistory history = Look(curves);
  EXPECT_THAT(history.evaluation_step(), ElementsAre(2, 4));
  EXPECT_THAT(history.validation_loss(), ElementsAre(2.5, 2.0));
}

TEST_F(StepCurvesTest, AreTheSameFromMemoryAndFromTheStore) {
  SubmitAndRun("job", agent_, 1);
  StepCurves watched(*coordinator_);
  Steps(1, 0, 1);
  EXPECT_THAT(Look(watched).step(), ElementsAre(1, 2));  // not in the store yet
  AdvanceTime(absl::Seconds(2), {&agent_});
  Steps(1, 2, 4);
  EXPECT_THAT(Look(watched).step(), ElementsAre(1, 2, 3, 4, 5));
  StepCurves fresh(*coordinator_);
  EXPECT_EQ(Look(fresh).SerializeAsString(), Look(watched).SerializeAsString());
  AdvanceTime(absl::Seconds(2), {&agent_});
  const std::string before = Look(watched).SerializeAsString();
  Crash();
  StepCurves recovered(*coordinator_);
  EXPECT_EQ(Look(recovered).SerializeAsString(), before);
}

TEST_F(StepCurvesTest, BeginAnewWithAnAttempt) {
  SubmitAndRun("job", agent_, 1);
  StepCurves curves(*coordinator_);
  Steps(1, 0, 4);
  EXPECT_EQ(Look(curves).known_steps(), 5);
  ASSERT_TRUE(agent_.Exited(*coordinator_, "job", 1, 0, 9).ok());
  AdvanceTime(absl::Seconds(20), {&agent_});
  ASSERT_EQ(Get("job").attempt(), 2);
  ASSERT_TRUE(agent_.Ready(*coordinator_, "job", 2, 0).ok());
  Steps(2, 0, 1);
  const v1::StepHistory history = Look(curves);
  EXPECT_EQ(history.attempt(), 2);
  EXPECT_THAT(history.step(), ElementsAre(1, 2));
}

TEST_F(StepCurvesTest, StayWhenTheJobHasEnded) {
  SubmitAndRun("job", agent_, 1);
  Steps(1, 0, 9);
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 0).ok());
  ASSERT_EQ(State("job"), v1::Job::SUCCEEDED);
  StepCurves curves(*coordinator_);
  EXPECT_EQ(Look(curves).known_steps(), 10);
}

TEST_F(StepCurvesTest, AreThinnedOutForALongJob) {
  v1::CreateJobRequest request = Request("job", 1);
  request.mutable_spec()->mutable_training()->set_steps(7000);
  ASSERT_TRUE(coordinator_->CreateJob(request).ok());
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job").ok());
  ASSERT_TRUE(agent_.Ready(*coordinator_, "job", 1, 0).ok());
  Steps(1, 0, 4899);  // three reads of the history
  AdvanceTime(absl::Seconds(2), {&agent_});
  Steps(1, 4900, 4999);  // not in the store yet
  StepCurves curves(*coordinator_);
  const v1::StepHistory history = Look(curves);
  EXPECT_EQ(history.known_steps(), 5000);
  EXPECT_LE(history.step_size(), 1000);
  EXPECT_EQ(history.step(0), 1);
  EXPECT_EQ(history.step(history.step_size() - 1), 5000);
}

TEST_F(StepCurvesTest, OfAStrangerAreNotFound) {
  StepCurves curves(*coordinator_);
  EXPECT_EQ(ReasonOf(curves.Look("nobody").status()), "JOB_NOT_FOUND");
}

TEST_F(StepCurvesTest, AreReadAnewWhenTooManyWereLookedAt) {
  SubmitAndRun("job", agent_, 1);
  Steps(1, 0, 2);
  StepCurves curves(*coordinator_);
  const std::string first = Look(curves).SerializeAsString();
  for (size_t i = 0; i < StepCurves::kMostJobs; ++i) {
    const std::string id = "other-" + std::to_string(i);
    Submit(id, 1);
    ASSERT_TRUE(curves.Look(id).ok());
  }
  EXPECT_EQ(Look(curves).SerializeAsString(), first);
}

}  // namespace
}  // namespace dropbp::server
