// Evaluations as the coordinator records them, and what follows from them.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Evaluation EvaluationOf(int64_t step, double loss) {
  v1::Evaluation evaluation;
  evaluation.set_step(step);
  evaluation.set_loss(loss);
  evaluation.set_supervised_tokens(640);
  v1::SampleText& sample = *evaluation.add_samples();
  sample.set_prompt("What is it?");
  sample.set_text(absl::StrCat("A number, ", step));
  return evaluation;
}

class EvaluationsTest : public ClusterTest {
 protected:
  // A job of 10 steps whose validation loss is measured after every other one.
  void Begin(const std::function<void(v1::JobSpec&)>& edit = [](v1::JobSpec&) {}) {
    a_.Connect(*coordinator_);
    v1::CreateJobRequest request = Request("job");
    request.mutable_spec()->mutable_dataset()->set_validation_share(0.2);
    request.mutable_spec()->mutable_evaluation()->set_every_steps(2);
    request.mutable_spec()->clear_dropbp();
    request.mutable_spec()->mutable_dropbp()->set_allocation(v1::DropbpSpec::UNIFORM);
    edit(*request.mutable_spec());
    ASSERT_TRUE(coordinator_->CreateJob(request).ok());
    v1::SessionRequest prepared;
    prepared.mutable_prepare_result()->set_job_id("job");
    *prepared.mutable_prepare_result()->mutable_model_shape() = TestShape();
    prepared.mutable_prepare_result()->mutable_dataset_report()->set_samples(80);
    prepared.mutable_prepare_result()->mutable_dataset_report()->set_validation_samples(held_out_);
    ASSERT_TRUE(a_.Send(*coordinator_, prepared).ok());
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "job", 1, rank).ok());
  }

  void Evaluate(int64_t step, double loss, int attempt = 1) {
    v1::TrainerReport report;
    *report.mutable_evaluation() = EvaluationOf(step, loss);
    ASSERT_TRUE(a_.Report(*coordinator_, "job", attempt, 0, report).ok());
  }

  void MakeSteps(int64_t from, int64_t to, int attempt = 1) {
    for (int64_t step = from; step < to; ++step) {
      for (const int rank : {0, 1})
        ASSERT_TRUE(a_.Step(*coordinator_, "job", attempt, rank, step).ok());
    }
  }

  std::vector<std::string> EvaluationEvents() {
    std::vector<std::string> messages;
    const auto events = coordinator_->NewestEvents("job", 100);
    for (const v1::JobEvent& event : events.value()) {
      if (event.type() == v1::JobEvent::EVALUATION) messages.push_back(event.message());
    }
    return messages;
  }

  std::vector<int64_t> EvaluatedSteps() {
    std::vector<int64_t> steps;
    const auto evaluations = coordinator_->Evaluations("job");
    for (const v1::Evaluation& evaluation : evaluations.value()) steps.push_back(evaluation.step());
    return steps;
  }

  int64_t held_out_ = 20;
  TestAgent a_{"a", 11, 2};
};

TEST_F(EvaluationsTest, AreToldInOneSentenceWithTheBestSoFar) {
  Begin();
  MakeSteps(0, 4);
  Evaluate(2, 1.5);
  Evaluate(4, 1.75);
  EXPECT_THAT(EvaluationEvents(),
              ElementsAre("Evaluated after 2 steps: validation loss 1.5000, perplexity 4.482, the "
                          "least so far.",
                          "Evaluated after 4 steps: validation loss 1.7500, perplexity 5.755; the "
                          "least, 1.5000, was after 2 steps."));
  const v1::JobProgress progress = Get("job").progress();
  EXPECT_EQ(progress.evaluation().step(), 4);
  ASSERT_EQ(progress.evaluation().samples_size(), 1);
  EXPECT_EQ(progress.evaluation().samples(0).text(), "A number, 4");
  EXPECT_EQ(progress.best_evaluation().step(), 2);
  EXPECT_EQ(progress.best_evaluation().samples_size(), 0);
}

TEST_F(EvaluationsTest, SurviveTheCoordinatorAndCountOnce) {
  Begin();
  MakeSteps(0, 2);
  Evaluate(2, 1.5);
  Crash();
  EXPECT_EQ(Get("job").progress().best_evaluation().loss(), 1.5);
  EXPECT_EQ(Get("job").progress().evaluation().samples_size(), 1);
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  Evaluate(2, 1.5);
  EXPECT_THAT(EvaluationEvents(), SizeIs(1));
  MakeSteps(2, 3);
  EXPECT_EQ(Get("job").progress().evaluation().step(), 2) << "steps leave it as it is";
}

TEST_F(EvaluationsTest, ALossThatIsNoNumberIsNotTheBest) {
  Begin();
  MakeSteps(0, 4);
  Evaluate(2, std::nan(""));
  EXPECT_FALSE(Get("job").progress().has_best_evaluation());
  Evaluate(4, 2);
  EXPECT_EQ(Get("job").progress().best_evaluation().step(), 4);
}

TEST_F(EvaluationsTest, GoOnWithTheCheckpoint) {
  Begin();
  MakeSteps(0, 2);
  Evaluate(2, 1.5);
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 2);
  MakeSteps(2, 4);
  Evaluate(4, 1.25);
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, 0, 1).ok());
  ASSERT_EQ(Get("job").attempt(), 2);
  EXPECT_EQ(Get("job").progress().evaluation().step(), 2);
  EXPECT_EQ(Get("job").progress().best_evaluation().loss(), 1.5);
  EXPECT_THAT(EvaluatedSteps(), ElementsAre(2)) << "the one after 4 steps is made again";
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "job", 2, rank).ok());
  MakeSteps(2, 4, 2);
  Evaluate(4, 1.25, 2);
  EXPECT_THAT(EvaluatedSteps(), ElementsAre(2, 4));
}

TEST_F(EvaluationsTest, TheBestCheckpointIsKeptBesideTheNewest) {
  Begin([](v1::JobSpec& spec) { spec.mutable_checkpoint()->set_keep(1); });
  const double losses[] = {1.5, 1.25, 1.75, 2};
  for (int64_t i = 0; i < 4; ++i) {
    MakeSteps(2 * i, 2 * i + 2);
    Evaluate(2 * i + 2, losses[i]);
    for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 2 * i + 2);
  }
  const std::vector<v1::Checkpoint> kept = coordinator_->ListCheckpoints("job").value();
  ASSERT_THAT(kept, SizeIs(2));
  EXPECT_EQ(kept[0].step(), 8);
  EXPECT_FALSE(kept[0].best());
  EXPECT_EQ(kept[0].progress().best_evaluation().step(), 4);
  EXPECT_EQ(kept[1].step(), 4);
  EXPECT_TRUE(kept[1].best());
  EXPECT_FALSE(Get("job").checkpoint().best());
}

TEST_F(EvaluationsTest, AJobThatStopsEarlySucceedsAndSaysWhy) {
  Begin([](v1::JobSpec& spec) {
    spec.mutable_evaluation()->set_patience(2);
    spec.mutable_evaluation()->set_result(v1::EvaluationSpec::BEST);
  });
  for (const int64_t step : {2, 4, 6}) {
    MakeSteps(step - 2, step);
    Evaluate(step, 1 + 0.25 * static_cast<double>(step));
  }
  // Results are written and uploaded, however long that takes.
  AdvanceTime(absl::Minutes(3), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  for (const int rank : {1, 0}) {
    v1::SessionRequest frame;
    frame.mutable_rank_finished()->set_job_id("job");
    frame.mutable_rank_finished()->set_attempt(1);
    frame.mutable_rank_finished()->set_rank(rank);
    frame.mutable_rank_finished()->mutable_finished()->set_steps(6);
    frame.mutable_rank_finished()->mutable_finished()->set_early_stop("patience is over");
    ASSERT_TRUE(a_.Send(*coordinator_, frame).ok());
  }
  const v1::Job job = Get("job");
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED);
  EXPECT_EQ(job.state_message(),
            "Stopped early after 6 steps: patience is over. The result is that after 2 steps, with "
            "the least validation loss.");
  EXPECT_EQ(job.progress().step(), 6);
  EXPECT_EQ(job.progress().total_steps(), 10);
}

// 20 samples on two ranks in batches of 2 are 5 passes, each as long as a step of half a second,
// ten times over; and what any step may take.
TEST_F(EvaluationsTest, AreGivenTimeBeforeAGangCountsAsStalled) {
  Begin();
  MakeSteps(0, 2);
  AdvanceTime(absl::Seconds(60 + 20), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Seconds(10), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
}

TEST_F(EvaluationsTest, AreGivenTimeAlsoWhereAnAttemptBeginsWithOne) {
  held_out_ = 2000;
  Begin();
  TrainAndSave(a_, "job", 1, 0, 2);
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 0, 0, 1).ok());
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "job", 2, rank).ok());
  AdvanceTime(absl::Minutes(15), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  AdvanceTime(absl::Hours(2), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
}

TEST_F(EvaluationsTest, LeaveOnlyTheBeginningsOfLongAnswersInTheHistory) {
  Begin();
  MakeSteps(0, 2);
  v1::TrainerReport report;
  *report.mutable_evaluation() = EvaluationOf(2, 1.5);
  report.mutable_evaluation()->mutable_samples(0)->set_text(std::string(10'000, 'x'));
  ASSERT_TRUE(a_.Report(*coordinator_, "job", 1, 0, report).ok());
  EXPECT_EQ(Get("job").progress().evaluation().samples(0).text().size(), 10'000u);
  const auto events = coordinator_->NewestEvents("job", 100);
  int found = 0;
  for (const v1::JobEvent& event : events.value()) {
    if (event.type() != v1::JobEvent::EVALUATION) continue;
    ++found;
    EXPECT_LT(event.progress().evaluation().samples(0).text().size(), 300u);
  }
  EXPECT_EQ(found, 1);
}

TEST_F(EvaluationsTest, NoMoreTimeWhereNoneIsDue) {
  Begin();
  MakeSteps(0, 1);
  AdvanceTime(absl::Seconds(65), {&a_});
  EXPECT_EQ(State("job"), v1::Job::RESTARTING);
}

TEST_F(EvaluationsTest, ListsOfJobsLeaveTheTextsOut) {
  Begin();
  MakeSteps(0, 2);
  Evaluate(2, 1.5);
  const auto page = coordinator_->ListJobs({});
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->jobs[0].progress().evaluation().loss(), 1.5);
  EXPECT_THAT(page->jobs[0].progress().evaluation().samples(), IsEmpty());
}

TEST_F(EvaluationsTest, AValidationFileMustBeUploaded) {
  v1::CreateJobRequest request = Request("job");
  request.mutable_spec()->mutable_dataset()->set_validation_artifact(std::string(64, 'b'));
  const absl::Status status = coordinator_->CreateJob(request).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("dataset.validation_artifact"));
}

}  // namespace
}  // namespace dropbp::server
