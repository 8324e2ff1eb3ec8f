#include "core/job/job_state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace dropbp {
namespace {

using enum JobState;

const std::vector<JobState> kAll = {kQueued,     kPreparing,  kStarting,  kRunning,
                                    kRestarting, kCancelling, kSucceeded, kFailed,
                                    kCancelled,  kPausing,    kPaused};

TEST(JobStateTest, AllowsTheMovesOfTheTableAndNoOthers) {
  const std::map<JobState, std::set<JobState>> legal = {
      {kQueued, {kPreparing, kStarting, kPaused, kCancelling, kCancelled, kFailed}},
      {kPreparing, {kQueued, kStarting, kPaused, kCancelling, kCancelled, kFailed}},
      {kStarting, {kRunning, kRestarting, kPausing, kCancelling, kSucceeded, kFailed}},
      {kRunning, {kRestarting, kPausing, kCancelling, kSucceeded, kFailed}},
      {kRestarting, {kStarting, kPausing, kPaused, kCancelling, kFailed}},
      {kCancelling, {kCancelled, kSucceeded, kFailed}},
      {kSucceeded, {}},
      {kFailed, {}},
      {kCancelled, {}},
      {kPausing, {kPaused, kCancelling, kSucceeded, kFailed}},
      {kPaused, {kQueued, kCancelling, kFailed}},
  };
  for (JobState from : kAll) {
    for (JobState to : kAll) {
      EXPECT_EQ(IsLegalMove(from, to), legal.at(from).contains(to))
          << JobStateName(from) << " -> " << JobStateName(to);
    }
  }
}

TEST(JobStateTest, NeverLeavesTerminalStates) {
  for (JobState from : kAll) {
    const bool terminal = from == kSucceeded || from == kFailed || from == kCancelled;
    EXPECT_EQ(IsTerminal(from), terminal) << JobStateName(from);
    for (JobState to : kAll) EXPECT_FALSE(terminal && IsLegalMove(from, to));
  }
}

TEST(JobStateTest, LetsEveryLivingJobFailAndBeCancelled) {
  for (JobState from : kAll) {
    if (IsTerminal(from)) continue;
    EXPECT_TRUE(IsLegalMove(from, kFailed)) << JobStateName(from);
    EXPECT_TRUE(IsLegalMove(from, kCancelling) || from == kCancelling) << JobStateName(from);
  }
}

TEST(JobStateTest, NamesStatesInCapitals) {
  EXPECT_EQ(JobStateName(kQueued), "QUEUED");
  EXPECT_EQ(JobStateName(kCancelled), "CANCELLED");
}

TEST(JobStateDeathTest, EndsTheProcessForANumberThatIsNoState) {
  EXPECT_DEATH(JobStateName(static_cast<JobState>(0)), "CHECK failed");
  EXPECT_DEATH(JobStateName(static_cast<JobState>(12)), "CHECK failed");
}

}  // namespace
}  // namespace dropbp
