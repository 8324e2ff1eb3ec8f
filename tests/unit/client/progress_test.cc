#include "client/progress.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dropbp::client {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

v1::JobProgress Middle() {
  return FromText<v1::JobProgress>(
      "step: 120 total_steps: 400 loss: 0.0142 tokens_per_second: 255.4 realised_drop_rate: 0.5 "
      "eta { seconds: 92 }");
}

v1::JobEvent StepEvent(int64_t step, int64_t total) {
  v1::JobEvent event;
  event.set_type(v1::JobEvent::STEP);
  event.set_state(v1::Job::RUNNING);
  *event.mutable_progress() = Middle();
  event.mutable_progress()->set_step(step);
  event.mutable_progress()->set_total_steps(total);
  return event;
}

v1::JobEvent StateEvent(v1::Job::State state, const std::string& message) {
  v1::JobEvent event;
  event.set_type(v1::JobEvent::STATE_CHANGED);
  event.set_sequence(3);
  event.set_state(state);
  event.set_message(message);
  event.set_attempt(1);
  return event;
}

size_t Lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST(ProgressTest, ShowsAllFiguresOfARunningJob) {
  EXPECT_EQ(ProgressText(Middle()),
            "step 120/400  30.0%  loss 0.0142  255 tok/s  drop 50.0%  eta 1m 32s");
}

TEST(ProgressTest, ShowsTheNewestValidationLoss) {
  v1::JobProgress progress = Middle();
  progress.mutable_evaluation()->set_loss(0.25);
  EXPECT_THAT(ProgressText(progress), Not(HasSubstr("validation"))) << "prompts only";
  progress.mutable_evaluation()->set_supervised_tokens(100);
  EXPECT_THAT(ProgressText(progress), HasSubstr("loss 0.0142  validation 0.2500  255 tok/s"));
}

TEST(ProgressTest, AnswersAreShortAndMoveNoCursor) {
  const auto evaluation = FromText<v1::Evaluation>(
      "samples { prompt: \"What\\nis it?\" text: \"A\\x1b[31m number\" }"
      "samples { prompt: \"Again?\" text: \"Yes\" }");
  EXPECT_THAT(SampleLines(evaluation),
              testing::ElementsAre("          What is it?  ->  A [31m number",
                                   "          Again?  ->  Yes"));
}

TEST(ProgressTest, LeavesOutWhatIsNotKnownYet) {
  EXPECT_EQ(ProgressText(FromText<v1::JobProgress>("step: 0 total_steps: 400")),
            "step 0/400  0.0%");
  EXPECT_EQ(ProgressText({}), "step 0/0  0.0%");
}

TEST(ProgressTest, TheBarIsNeverWiderThanTheTerminal) {
  for (int width = 1; width < 140; ++width) {
    EXPECT_LE(ProgressBar(Middle(), width, false).size(), static_cast<size_t>(width)) << width;
  }
}

TEST(ProgressTest, ANarrowTerminalLosesTheLastFiguresFirst) {
  const std::string bar = ProgressBar(Middle(), 50, false);
  EXPECT_THAT(bar, HasSubstr("step 120/400"));
  EXPECT_THAT(bar, Not(HasSubstr("eta")));
}

TEST(ProgressTest, AWideTerminalShowsTheBarAndEveryFigure) {
  EXPECT_EQ(ProgressBar(Middle(), 200, false),
            "[#########                     ]  step 120/400  30.0%  loss 0.0142  255 tok/s  drop "
            "50.0%  eta 1m 32s");
}

TEST(LineViewTest, WritesALineForEachStateButFewForSteps) {
  ManualClock clock(absl::FromUnixSeconds(1000));
  std::ostringstream text;
  auto view = MakeLineView(Sink{text}, clock, absl::Seconds(5));
  view->Show(StateEvent(v1::Job::RUNNING, "all ranks are ready"));
  for (int step = 1; step <= 10; ++step) {
    view->Show(StepEvent(step, 11));
    clock.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(Lines(text.str()), 3u) << text.str();  // the state, step 1 and step 6
  view->Show(StepEvent(11, 11));
  EXPECT_EQ(Lines(text.str()), 4u) << "the last step is always shown";
  EXPECT_THAT(text.str(), HasSubstr("RUNNING     all ranks are ready\n"));
  EXPECT_THAT(text.str(), Not(HasSubstr("\x1b"))) << "no control characters off a terminal";
}

TEST(LineViewTest, NamesTheAttemptAfterARestart) {
  std::ostringstream text;
  v1::JobEvent event = StateEvent(v1::Job::STARTING, "gang placed");
  event.set_attempt(2);
  MakeLineView(Sink{text}, SystemClock())->Show(event);
  EXPECT_THAT(text.str(), EndsWith("STARTING    attempt 2: gang placed\n"));
  event.set_message("Attempt 2: 2 ranks on a.");
  MakeLineView(Sink{text}, SystemClock())->Show(event);
  EXPECT_THAT(text.str(), EndsWith("STARTING    Attempt 2: 2 ranks on a.\n"))
      << "it says so itself";
}

TEST(LineViewTest, ADeadTrainersLastLinesStandUnderTheSentenceAndMoveNoCursor) {
  std::ostringstream text;
  v1::JobEvent event = StateEvent(v1::Job::RUNNING, "It died.\nIts last lines:\none\nt\x1b[31mwo");
  event.set_type(v1::JobEvent::INCIDENT);
  MakeLineView(Sink{text}, SystemClock())->Show(event);
  EXPECT_THAT(text.str(), EndsWith("RUNNING     It died.\n"
                                   "          Its last lines:\n"
                                   "          one\n"
                                   "          t [31mwo\n"));
}

TEST(BarViewTest, RedrawsOneLineAndPutsStatesAboveIt) {
  std::ostringstream text;
  auto view = MakeBarView(Sink{.stream = text, .terminal = true, .fixed_width = 120});
  view->Show(StepEvent(1, 10));
  view->Show(StepEvent(2, 10));
  EXPECT_EQ(Lines(text.str()), 0u) << "steps stay on one line";
  view->Show(StateEvent(v1::Job::SUCCEEDED, ""));
  view->Finish();
  const std::vector<std::string> lines = absl::StrSplit(text.str(), '\n');
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], EndsWith("SUCCEEDED"));
  EXPECT_THAT(lines[1], HasSubstr("step 2/10")) << "the bar stays under the last state";
}

TEST(BarViewTest, EndsItsLineForOthersAndGoesOnBelow) {
  std::ostringstream text;
  auto view = MakeBarView(Sink{.stream = text, .terminal = true, .fixed_width = 120});
  view->Show(StepEvent(1, 10));
  view->Finish();
  view->Finish();
  text << "No coordinator answers.\n";
  view->Show(StepEvent(2, 10));
  const std::vector<std::string> lines = absl::StrSplit(text.str(), '\n');
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("step 1/10"));
  EXPECT_EQ(lines[1], "No coordinator answers.");
  EXPECT_THAT(lines[2], HasSubstr("step 2/10"));
}

TEST(JsonViewTest, WritesOneObjectALineWithProtoNames) {
  std::ostringstream text;
  auto view = MakeJsonView(Sink{text});
  view->Show(StepEvent(1, 10));
  view->Show(StateEvent(v1::Job::SUCCEEDED, "done"));
  EXPECT_EQ(Lines(text.str()), 2u);
  EXPECT_THAT(text.str(), HasSubstr("\"tokens_per_second\":255.4"));
  EXPECT_THAT(text.str(), HasSubstr("\"state\":\"SUCCEEDED\""));
}

}  // namespace
}  // namespace dropbp::client
