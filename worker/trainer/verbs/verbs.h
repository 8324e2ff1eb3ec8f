// The verbs of dropbp-trainer, one function each. They return the exit code: 0 done, 1 failed (told
// on stderr).
#pragma once

#include <cstdint>
#include <string>

#include "core/job/job_spec.h"

namespace dropbp::trainer {

// Trains for the agent that listens on a Unix socket; the job's whole life is in train/run_job.h.
// Exit code 3, from inside the link, means that the agent went away.
int RunVerb(const std::string& socket_path);

}  // namespace dropbp::trainer
