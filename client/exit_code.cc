#include "client/exit_code.h"

#include "absl/strings/str_format.h"

namespace dropbp::client {

const std::vector<ExitCodeMeaning>& ExitCodeTable() {
  static const auto* const table = new std::vector<ExitCodeMeaning>{
      {ExitCode::kOk, "done; for watch, wait and submit --follow: the job succeeded"},
      {ExitCode::kJobFailed, "the job failed"},
      {ExitCode::kBadInput, "wrong usage, a bad job file, a refused field"},
      {ExitCode::kNotFound, "no such job or file"},
      {ExitCode::kUnreachable, "no coordinator answers"},
      {ExitCode::kCancelled, "the job was cancelled"},
      {ExitCode::kTimeout, "the time given by --timeout is over; the job goes on"},
      {ExitCode::kRefused,
       "not possible in the job's present state, the name is taken, or the role of your "
       "certificate "
       "does not allow it"},
      {ExitCode::kError, "any other error: a disk, a broken transfer, the coordinator itself"},
      {ExitCode::kInterrupted, "left by Ctrl-C; the job goes on"},
  };
  return *table;
}

std::string ExitCodeHelp() {
  std::string text = "Exit codes:\n";
  for (const ExitCodeMeaning& row : ExitCodeTable()) {
    absl::StrAppendFormat(&text, "  %3d  %s\n", static_cast<int>(row.code), row.meaning);
  }
  return text;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kBadInput;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnavailable:
      return ExitCode::kUnreachable;
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kTimeout;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kRefused;
    case absl::StatusCode::kCancelled:
      return ExitCode::kInterrupted;
    default:
      return ExitCode::kError;
  }
}

ExitCode ExitCodeOfEnd(v1::Job::State state) {
  switch (state) {
    case v1::Job::SUCCEEDED:
      return ExitCode::kOk;
    case v1::Job::FAILED:
      return ExitCode::kJobFailed;
    case v1::Job::CANCELLED:
      return ExitCode::kCancelled;
    default:
      return ExitCode::kError;
  }
}

}  // namespace dropbp::client
