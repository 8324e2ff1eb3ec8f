// A program that a test runs.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"

namespace dropbp::testing {

// How a process ended.
struct ProcessEnd {
  int exit_code = -1;  // -1 if a signal ended it
  int signal = 0;
};

struct ChildOptions {
  std::vector<std::string> arguments = {};    // program first
  std::string output_path = {};               // stdout; stderr too unless it has its own
  std::string error_path = {};                // stderr
  std::vector<std::string> environment = {};  // "NAME=value", added to the test's own
};

// Dies with the test program. Not thread-safe.
class ChildProcess {
 public:
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const ChildOptions& options);
  // Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  void Signal(int signal);
  // DEADLINE_EXCEEDED if it has not ended in time.
  absl::StatusOr<ProcessEnd> WaitForEnd(absl::Duration timeout);
  // SIGKILL, and waits for the end.
  void Kill();

 private:
  ChildProcess(pid_t pid, int pid_fd) : pid_(pid), pid_fd_(pid_fd) {}
  void Reap();

  const pid_t pid_;
  const int pid_fd_;
  std::optional<ProcessEnd> end_;
};

}  // namespace dropbp::testing
