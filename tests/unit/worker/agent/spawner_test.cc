#include "worker/agent/spawner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/unit/worker/agent/temp_folder.h"
#include "worker/agent/child.h"

namespace dropbp::agent {
namespace {

using ::testing::HasSubstr;

class SpawnerTest : public ::testing::Test {
 protected:
  absl::StatusOr<ChildResult> Shell(const std::string& script, const std::string& input = "",
                                    absl::Duration timeout = absl::Minutes(1)) {
    return RunChild(spawner_, {"/bin/sh", "-c", script}, input, timeout, cancel_);
  }

  Spawner spawner_;
  CancelToken cancel_;
};

TEST_F(SpawnerTest, FeedsInputAndCollectsOutput) {
  const std::string large(1 << 20, 'x');
  const auto result = Shell("cat; echo talk >&2; exit 3", large);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, large);
  EXPECT_EQ(result->diagnostics, "talk\n");
  EXPECT_EQ(result->exit.exit_code, 3);
  EXPECT_EQ(result->exit.signal, 0);
}

TEST_F(SpawnerTest, SurvivesAChildThatDoesNotReadItsInput) {
  const auto result = Shell("exec <&-; echo done", std::string(1 << 20, 'x'));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "done\n");
}

TEST_F(SpawnerTest, TellsTheSignalThatEndedAChild) {
  const auto result = Shell("kill -ABRT $$");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->exit.signal, SIGABRT);
  EXPECT_EQ(Describe(result->exit), "signal 6 (Aborted)");
}

TEST_F(SpawnerTest, NamesAProgramThatCannotBeStarted) {
  const auto child = spawner_.Spawn({.arguments = {"/nowhere/trainer"}, .extra_environment = {}});
  EXPECT_EQ(child.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(child.status().message()),
              HasSubstr("/nowhere/trainer: No such file or directory"));
}

TEST_F(SpawnerTest, ReplacesVariablesOfTheEnvironment) {
  setenv("DROPBP_TEST_VARIABLE", "inherited", 1);
  TempFolder folder;
  ChildCommand command{
      .arguments = {"/bin/sh", "-c", "echo $DROPBP_TEST_VARIABLE $HOME > " + folder / "out"},
      .extra_environment = {"DROPBP_TEST_VARIABLE=own"}};
  const auto child = spawner_.Spawn(command);
  ASSERT_TRUE(child.ok()) << child.status();
  siginfo_t info;
  waitid(P_PID, *child, &info, WEXITED | WNOWAIT);
  KillGroup(*child);
  EXPECT_THAT(ReadText(folder / "out"), ::testing::StartsWith("own"));
}

TEST_F(SpawnerTest, GivesEachChildItsOwnGroupAndNoForeignDescriptors) {
  const auto result = Shell("ls /proc/self/fd | wc -l; cut -d' ' -f5 /proc/$$/stat; echo $$");
  ASSERT_TRUE(result.ok()) << result.status();
  int descriptors = 0;
  int group = 0;
  int process = 0;
  ASSERT_EQ(sscanf(result->output.c_str(), "%d %d %d", &descriptors, &group, &process), 3);
  EXPECT_EQ(descriptors, 4);  // 0, 1, 2 and the one ls reads the folder with
  EXPECT_EQ(group, process);
}

TEST_F(SpawnerTest, EndsAChildThatTakesTooLong) {
  const auto result = Shell("exec tail -f /dev/null", "", absl::Milliseconds(50));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(SpawnerTest, EndsAChildThatNobodyWantsAnyMore) {
  cancel_.Cancel();
  EXPECT_EQ(Shell("exec tail -f /dev/null").status().code(), absl::StatusCode::kCancelled);
}

TEST_F(SpawnerTest, KillsGrandchildrenThatOutliveTheirParent) {
  const auto result = Shell("tail -f /dev/null >/dev/null 2>&1 & echo $!");
  ASSERT_TRUE(result.ok()) << result.status();
  const pid_t grandchild = std::stoi(result->output);
  EXPECT_EQ(kill(grandchild, 0), -1) << "process " << grandchild << " lives";
}

}  // namespace
}  // namespace dropbp::agent
