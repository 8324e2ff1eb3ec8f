// Starts child processes so that none outlives the agent.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "core/base/status.h"

namespace dropbp::agent {

// What to start and with which files. A descriptor of -1 means /dev/null.
struct ChildCommand {
  std::vector<std::string> arguments;  // arguments[0] is the program's path
  std::vector<std::string>
      extra_environment;  // "KEY=VALUE", in place of the agent's own value of KEY
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
};

// Every child leads its own process group, gets SIGKILL when the agent dies in whatever way
// (PR_SET_PDEATHSIG), and inherits no other descriptor. That signal is tied to the life of the
// thread that forks, so one thread of this class forks for all, and lives as long as this object.
// The process adopts orphans of its children's groups (PR_SET_CHILD_SUBREAPER), so that KillGroup()
// can wait for each of them. Thread-safe.
class Spawner {
 public:
  Spawner();
  // All children must have been reaped.
  ~Spawner();

  // Process id, which is also the group's. FAILED_PRECONDITION with the path and the system's
  // reason if the program cannot be executed.
  absl::StatusOr<pid_t> Spawn(const ChildCommand& command);

 private:
  struct Request {
    const ChildCommand* command = nullptr;
    absl::StatusOr<pid_t> result = absl::UnknownError("");
    bool done = false;
  };
  void Run();

  absl::Mutex mutex_;
  Request* request_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// How a process ended.
struct ExitStatus {
  int exit_code = -1;  // -1 if a signal ended it
  int signal = 0;
};

// Kills whatever is left of a child's group, waits for all of it to be gone, and returns how the
// leader ended. Call it once for each child, when the leader has ended or shall end now.
ExitStatus KillGroup(pid_t leader);

// "exit code 3", "signal 9 (Killed)".
std::string Describe(const ExitStatus& status);

}  // namespace dropbp::agent
