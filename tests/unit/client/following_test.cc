// Commands that stay: watch, logs --follow, submit --follow, over restarts and Ctrl-C.
#include <signal.h>

#include <fstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/files.h"
#include "tests/support/poll_until.h"
#include "tests/unit/client/commands_fixture.h"

namespace dropbp::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

size_t Count(const std::string& text, const std::string& part) {
  return std::vector<std::string>(absl::StrSplit(text, part)).size() - 1;
}

class FollowingTest : public CommandsTest {
 protected:
  void Finish(const std::string& job_id) {
    for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, job_id, 1, rank).ok());
  }
};

TEST_F(FollowingTest, WatchShowsTheWholeWayOfAJob) {
  SubmitAndRun("job", agent_);
  CapturedConsole captured;
  ExitCode code = ExitCode::kError;
  std::thread watch([&] { code = Dropbp("watch job", captured); });
  EXPECT_TRUE(WaitForOutput(captured, "RUNNING"));
  ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, 0).ok());
  EXPECT_TRUE(WaitForOutput(captured, "step 1/10"));
  Finish("job");
  watch.join();
  EXPECT_EQ(code, ExitCode::kOk);
  for (const char* state : {"QUEUED", "PREPARING", "STARTING", "RUNNING", "SUCCEEDED"}) {
    EXPECT_THAT(captured.out(), HasSubstr(state));
  }
  EXPECT_THAT(captured.err(), HasSubstr("next: dropbp download job"));
}

TEST_F(FollowingTest, TheLastLineHasTheFirstOfAMessageThatTheEventShowsInFull) {
  SubmitFile("--name job");
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "job", "dataset:1: bad\ndataset:2: bad", false).ok());
  const CommandResult result = Dropbp("watch job");
  EXPECT_EQ(result.code, ExitCode::kJobFailed);
  EXPECT_EQ(Count(result.out, "dataset:2: bad"), 1u);
  EXPECT_EQ(result.err, "Job job FAILED: dataset:1: bad (1 more line: dropbp get job)\n");
}

TEST_F(FollowingTest, WatchGoesOnAfterTheLastEventWhenTheCoordinatorComesBack) {
  SubmitAndRun("job", agent_);
  CapturedConsole captured;
  ExitCode code = ExitCode::kError;
  std::thread watch([&] { code = Dropbp("watch job --output json", captured); });
  EXPECT_TRUE(WaitForOutput(captured, "\"RUNNING\""));
  RestartCoordinator();
  ASSERT_EQ(Dropbp("cancel job").code, ExitCode::kOk);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Exited(*coordinator_, "job", 1, rank, SIGTERM).ok());
  watch.join();
  EXPECT_EQ(code, ExitCode::kCancelled);
  const v1::Job job = Get("job");
  for (int64_t sequence = 1; sequence <= job.last_event(); ++sequence) {
    EXPECT_EQ(Count(captured.out(), absl::StrCat("\"sequence\":\"", sequence, "\"")), 1u)
        << captured.out();
  }
}

TEST_F(FollowingTest, CtrlCLeavesTheJobRunningAndSaysSo) {
  SubmitAndRun("job", agent_);
  for (const char* line : {"watch job", "wait job", "logs job --follow"}) {
    CapturedConsole captured;
    ExitCode code = ExitCode::kError;
    std::thread command([&] { code = Dropbp(line, captured); });
    const bool guarded = testing::PollUntil(absl::Seconds(20), [] {
      struct sigaction now = {};
      sigaction(SIGINT, nullptr, &now);
      return now.sa_handler != SIG_DFL;
    });
    ASSERT_TRUE(guarded);
    raise(SIGINT);
    command.join();
    EXPECT_EQ(code, ExitCode::kInterrupted) << line;
    EXPECT_THAT(captured.err(), HasSubstr("Left; job job")) << line;
  }
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
}

TEST_F(FollowingTest, FollowedLogsGoOnWhereTheyWereCut) {
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "one\ntwo\nthree\n").ok());
  CapturedConsole captured;
  ExitCode code = ExitCode::kError;
  std::thread logs([&] { code = Dropbp("logs job --rank 0 --follow --tail 2", captured); });
  EXPECT_TRUE(WaitForOutput(captured, "three"));
  RestartCoordinator();
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "four\n").ok());
  EXPECT_TRUE(WaitForOutput(captured, "four"));
  ASSERT_EQ(Dropbp("cancel job").code, ExitCode::kOk);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Exited(*coordinator_, "job", 1, rank, SIGTERM).ok());
  logs.join();
  EXPECT_EQ(code, ExitCode::kOk) << captured.err();
  EXPECT_EQ(captured.out(), "two\nthree\nfour\n");
}

TEST_F(FollowingTest, SubmitFollowKeepsTheIdAsItsOnlyData) {
  CapturedConsole captured;
  ExitCode code = ExitCode::kError;
  std::thread submit([&] {
    code = Dropbp(absl::StrCat("submit --name mine --follow -f ", (folder() / "job.yaml").string()),
                  captured);
  });
  EXPECT_TRUE(WaitForOutput(captured, "mine\n"));
  ASSERT_EQ(Dropbp("cancel mine").code, ExitCode::kOk);
  submit.join();
  EXPECT_EQ(code, ExitCode::kCancelled);
  EXPECT_EQ(captured.out(), "mine\n");
  EXPECT_THAT(captured.err(), HasSubstr("CANCELLED"));
}

// Workers know files of a mix by their content only.
TEST_F(FollowingTest, SubmitFollowCallsFilesOfAMixAsTheJobFileDoes) {
  const std::string content = "{}\n", sha256 = Sha256Hex(content);
  std::ofstream(folder() / "more.jsonl") << content;
  CapturedConsole captured;
  ExitCode code = ExitCode::kError;
  std::thread submit([&] {
    code = Dropbp(absl::StrCat("submit --name mine --follow --set dataset.mix.more.jsonl=1 -f ",
                               (folder() / "job.yaml").string()),
                  captured);
  });
  EXPECT_TRUE(WaitForOutput(captured, "mine\n"));
  ASSERT_TRUE(agent_
                  .Prepared(*coordinator_, "mine",
                            absl::StrCat("dataset.mix file ", sha256, ":1: no key is known"))
                  .ok());
  submit.join();
  EXPECT_EQ(code, ExitCode::kJobFailed);
  EXPECT_THAT(captured.err(), HasSubstr("dataset.mix file more.jsonl:1: no key is known"));
  EXPECT_THAT(captured.err(), Not(HasSubstr(sha256)));
  const std::string later = Dropbp("get mine").out;
  EXPECT_THAT(later, HasSubstr("dataset.mix file more.jsonl:1: no key is known"));
  EXPECT_THAT(later, HasSubstr("more.jsonl x 1"));
}

TEST_F(FollowingTest, ACallThatBeginsWhileTheCoordinatorIsAwayIsAnsweredWhenItIsBack) {
  SubmitFile("--name mine");
  CapturedConsole captured;
  ExitCode code = ExitCode::kError;
  coordinator_->Shutdown();
  std::thread get([&] { code = Dropbp("get mine", captured); });
  RestartCoordinator();
  get.join();
  EXPECT_EQ(code, ExitCode::kOk) << captured.err();
  EXPECT_THAT(captured.out(), HasSubstr("mine"));
}

}  // namespace
}  // namespace dropbp::client
