#include "core/job/job_state.h"

#include <array>
#include <cstdint>

#include "core/base/check.h"

namespace dropbp {
namespace {

struct StateRow {
  std::string_view name;
  uint32_t next;  // bit set of the states that may follow
};

template <typename... States>
constexpr uint32_t To(States... states) {
  return (0u | ... | (1u << static_cast<int>(states)));
}

using enum JobState;

// The table of legal moves, one row a state, in the order of the enum.
constexpr std::array<StateRow, 11> kStates = {{
    // STARTING: a checked job that waited here for devices.
    {"QUEUED", To(kPreparing, kStarting, kPaused, kCancelling, kCancelled, kFailed)},
    // Back to QUEUED: checked, and waiting for devices; or the check has to be made again.
    {"PREPARING", To(kQueued, kStarting, kPaused, kCancelling, kCancelled, kFailed)},
    {"STARTING", To(kRunning, kRestarting, kPausing, kCancelling, kSucceeded, kFailed)},
    {"RUNNING", To(kRestarting, kPausing, kCancelling, kSucceeded, kFailed)},
    {"RESTARTING", To(kStarting, kPausing, kPaused, kCancelling, kFailed)},
    // The last step can win the race against the request.
    {"CANCELLING", To(kCancelled, kSucceeded, kFailed)},
    {"SUCCEEDED", To()},
    {"FAILED", To()},
    {"CANCELLED", To()},
    {"PAUSING", To(kPaused, kCancelling, kSucceeded, kFailed)},
    {"PAUSED", To(kQueued, kCancelling, kFailed)},
}};

const StateRow& Row(JobState state) {
  const int index = static_cast<int>(state) - 1;
  DROPBP_CHECK(index >= 0 && index < static_cast<int>(kStates.size()));
  return kStates[static_cast<size_t>(index)];
}

}  // namespace

std::string_view JobStateName(JobState state) { return Row(state).name; }

bool IsTerminal(JobState state) { return Row(state).next == 0; }

bool IsLegalMove(JobState from, JobState to) { return (Row(from).next & To(to)) != 0; }

}  // namespace dropbp
