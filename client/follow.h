// Watching a job to its end, as watch, wait and submit --follow do.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "client/progress.h"
#include "client/session.h"

namespace dropbp::client {

// The view that suits a sink: a progress bar on a terminal, lines otherwise, JSON lines where they
// were asked for.
std::unique_ptr<WatchView> MakeView(const Sink& sink, bool json);

// Shows the job's events after `after_sequence` until it ends, says how it ended and what to type
// next, and returns the exit code that tells its end. Ctrl-C leaves the job running, says so, and
// returns kInterrupted. DEADLINE_EXCEEDED when `deadline` is over before the job is.
absl::StatusOr<ExitCode> Follow(Session& session, JobClient& client, const std::string& job_id,
                                int64_t after_sequence, absl::Time deadline, WatchView& view);

}  // namespace dropbp::client
