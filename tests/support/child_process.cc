#include "tests/support/child_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace dropbp::testing {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> Environment(const std::vector<std::string>& added) {
  std::vector<std::string> all(added);
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  return all;
}

// After fork: only async-signal-safe calls.
void Redirect(int target, const char* path) {
  if (*path == '\0') return;
  const int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (file >= 0) dup2(file, target);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const ChildOptions& options) {
  const std::vector<std::string> environment = Environment(options.environment);
  const std::vector<char*> argv = Pointers(options.arguments);
  const std::vector<char*> envp = Pointers(environment);
  const std::string& error_path =
      options.error_path.empty() ? options.output_path : options.error_path;
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Redirect(STDOUT_FILENO, options.output_path.c_str());
    Redirect(STDERR_FILENO, error_path.c_str());
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  const int pid_fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, pid_fd));
}

ChildProcess::~ChildProcess() {
  Kill();
  close(pid_fd_);
}

bool ChildProcess::Running() { return !WaitForEnd(absl::ZeroDuration()).ok(); }

void ChildProcess::Signal(int signal) {
  if (!end_) kill(pid_, signal);
}

absl::StatusOr<ProcessEnd> ChildProcess::WaitForEnd(absl::Duration timeout) {
  if (end_) return *end_;
  pollfd ended = {.fd = pid_fd_, .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) <= 0) {
    return absl::DeadlineExceededError(
        absl::StrCat("process ", pid_, " has not ended within ", absl::FormatDuration(timeout)));
  }
  Reap();
  return *end_;
}

void ChildProcess::Kill() {
  if (end_) return;
  kill(pid_, SIGKILL);
  Reap();
}

void ChildProcess::Reap() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  end_ = WIFEXITED(status) ? ProcessEnd{.exit_code = WEXITSTATUS(status)}
                           : ProcessEnd{.signal = WTERMSIG(status)};
}

}  // namespace dropbp::testing
