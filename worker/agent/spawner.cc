#include "worker/agent/spawner.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace dropbp::agent {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The agent's environment with `extra` in place of its values.
std::vector<std::string> Environment(const std::vector<std::string>& extra) {
  std::vector<std::string> environment = extra;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view existing = *entry;
    const std::string_view key = existing.substr(0, existing.find('=') + 1);
    bool replaced = false;
    for (const std::string& own : extra) replaced |= own.compare(0, key.size(), key) == 0;
    if (!replaced) environment.emplace_back(existing);
  }
  return environment;
}

// Between fork and exec: only async-signal-safe calls.
void UseAs(int fd, int target) {
  if (fd < 0) fd = open("/dev/null", O_RDWR);
  if (fd == target) {
    fcntl(fd, F_SETFD, 0);
  } else {
    dup2(fd, target);
  }
}

[[noreturn]] void BecomeChild(const ChildCommand& command, char* const* argv, char* const* envp,
                              pid_t parent, int error_fd) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the request took hold
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  UseAs(command.stdin_fd, STDIN_FILENO);
  UseAs(command.stdout_fd, STDOUT_FILENO);
  UseAs(command.stderr_fd, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  execve(argv[0], argv, envp);
  const int error = errno;
  (void)!write(error_fd, &error, sizeof(error));
  _exit(127);
}

absl::StatusOr<pid_t> ForkAndExec(const ChildCommand& command) {
  const std::vector<std::string> environment = Environment(command.extra_environment);
  const std::vector<char*> argv = Pointers(command.arguments);
  const std::vector<char*> envp = Pointers(environment);
  int error_pipe[2];
  if (pipe2(error_pipe, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) BecomeChild(command, argv.data(), envp.data(), parent, error_pipe[1]);
  const int fork_error = errno;
  close(error_pipe[1]);
  if (child < 0) {
    close(error_pipe[0]);
    return absl::ErrnoToStatus(fork_error, "fork");
  }
  setpgid(child, child);  // whoever comes first, child or parent
  int error = 0;
  const ssize_t got = read(error_pipe[0], &error, sizeof(error));  // end of file: exec succeeded
  close(error_pipe[0]);
  if (got <= 0) return child;
  KillGroup(child);
  return absl::FailedPreconditionError(
      absl::StrCat("cannot start ", command.arguments[0], ": ", strerror(error)));
}

}  // namespace

Spawner::Spawner() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  signal(SIGPIPE, SIG_IGN);  // a child that died is told by write()
  thread_ = std::thread([this] { Run(); });
}

Spawner::~Spawner() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

absl::StatusOr<pid_t> Spawner::Spawn(const ChildCommand& command) {
  DROPBP_CHECK(!command.arguments.empty());
  Request request;
  request.command = &command;
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return request_ == nullptr; };
  mutex_.Await(absl::Condition(&idle));
  request_ = &request;
  mutex_.Await(absl::Condition(&request.done));
  return request.result;
}

void Spawner::Run() {
  absl::MutexLock lock(&mutex_);
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return request_ != nullptr || stopping_;
  };
  while (true) {
    mutex_.Await(absl::Condition(&has_work));
    if (request_ == nullptr) return;
    request_->result = ForkAndExec(*request_->command);
    request_->done = true;
    request_ = nullptr;
  }
}

ExitStatus KillGroup(pid_t leader) {
  // The leader is not reaped yet, so its id still names this group.
  kill(-leader, SIGKILL);
  ExitStatus result;
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(-leader, &status, 0);
    if (ended < 0 && errno == EINTR) continue;
    if (ended < 0) return result;  // ECHILD: the group is gone
    if (ended != leader) continue;
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  }
}

std::string Describe(const ExitStatus& status) {
  if (status.signal == 0) return absl::StrCat("exit code ", status.exit_code);
  return absl::StrCat("signal ", status.signal, " (", strsignal(status.signal), ")");
}

}  // namespace dropbp::agent
