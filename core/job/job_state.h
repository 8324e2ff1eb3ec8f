// The states of a job and the one table of legal moves.
#pragma once

#include <string_view>

namespace dropbp {

// The values equal dropbp.v1.Job.State.
enum class JobState {
  kQueued = 1,
  kPreparing = 2,
  kStarting = 3,
  kRunning = 4,
  kRestarting = 5,
  kCancelling = 6,
  kSucceeded = 7,
  kFailed = 8,
  kCancelled = 9,
  kPausing = 10,
  kPaused = 11,
};

// "QUEUED", ...
std::string_view JobStateName(JobState state);

// Succeeded, failed and cancelled are never left.
bool IsTerminal(JobState state);

// Whether a job may go from one state to another in one move.
bool IsLegalMove(JobState from, JobState to);

}  // namespace dropbp
