// What commands that move a job to another state (cancel, pause, resume) have in common.
#pragma once

#include "client/commands/command.h"
#include "client/session.h"

namespace dropbp::client {

// Prints where the job stands after the call that gave `job`, which is handed on. If the call did
// not fit the job's state, the error says how to look at the job.
absl::StatusOr<v1::Job> PrintSteered(Session& session, const JobOptions& options,
                                     absl::StatusOr<v1::Job> job);

}  // namespace dropbp::client
