// How `dropbp` ends: the one table of its exit codes, printed by --help and in docs/cli.md.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "dropbp/v1/jobs.pb.h"

namespace dropbp::client {

enum class ExitCode {
  kOk = 0,
  kJobFailed = 1,
  kBadInput = 2,
  kNotFound = 3,
  kUnreachable = 4,
  kCancelled = 5,
  kTimeout = 6,
  kRefused = 7,
  kError = 8,
  kInterrupted = 130,
};

struct ExitCodeMeaning {
  ExitCode code;
  std::string meaning;
};

// Every code, in order.
const std::vector<ExitCodeMeaning>& ExitCodeTable();

// The table as lines of text, for help.
std::string ExitCodeHelp();

// The code that a failed call ends with; kOk for an OK status.
ExitCode ExitCodeOf(const absl::Status& status);

// The code that tells how a job ended: kOk, kJobFailed or kCancelled; kError if `state` is not
// final.
ExitCode ExitCodeOfEnd(v1::Job::State state);

}  // namespace dropbp::client
