#include "core/job/job_state.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace dropbp {
namespace {

using enum JobState;

const std::vector<JobState> kAll = {kQueued,     kPreparing, kStarting, kRunning,  kRestarting,
                                    kCancelling, kSucceeded, kFailed,   kCancelled};

TEST(JobStateTest, AllowsTheMovesOfTheTableAndNoOthers) {
  const std::map<JobState, std::set<JobState>> legal = {
      {kQueued, {kPreparing, kStarting, kCancelling, kCancelled, kFailed}},
      {kPreparing, {kQueued, kStarting, kCancelling, kCancelled, kFailed}},
      {kStarting, {kRunning, kRestarting, kCancelling, kSucceeded, kFailed}},
      {kRunning, {kRestarting, kCancelling, kSucceeded, kFailed}},
      {kRestarting, {kStarting, kCancelling, kFailed}},
      {kCancelling, {kCancelled, kSucceeded, kFailed}},
      {kSucceeded, {}},
      {kFailed, {}},
      {kCancelled, {}},
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
  EXPECT_DEATH(JobStateName(static_cast<JobState>(10)), "CHECK failed");
}

}  // namespace
}  // namespace dropbp
