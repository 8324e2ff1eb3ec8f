#include "worker/agent/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace dropbp::agent {
namespace {

constexpr size_t kMaxOutputBytes = 16 << 20;
constexpr size_t kKeptDiagnostics = 4 << 10;
constexpr int kCancelPollMs = 100;

// A pipe whose two ends close themselves; both are non-blocking on the parent's side.
struct Pipe {
  int read_end = -1;
  int write_end = -1;
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  bool Open() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return false;
    read_end = ends[0];
    write_end = ends[1];
    return true;
  }
  void CloseRead() { Close(read_end); }
  void CloseWrite() { Close(write_end); }

 private:
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

void SetNonBlocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

// The parent's side of the conversation.
class Conversation {
 public:
  Conversation(Pipe& in, Pipe& out, Pipe& err, std::string_view input)
      : in_(in), out_(out), err_(err), input_(input) {
    in_.CloseRead();
    out_.CloseWrite();
    err_.CloseWrite();
    SetNonBlocking(in_.write_end);
    SetNonBlocking(out_.read_end);
    SetNonBlocking(err_.read_end);
  }

  bool over() const { return out_.read_end < 0 && err_.read_end < 0; }

  // Moves what can be moved within the time.
  void Step(int timeout_ms) {
    pollfd fds[] = {
        {in_.write_end, POLLOUT, 0}, {out_.read_end, POLLIN, 0}, {err_.read_end, POLLIN, 0}};
    if (poll(fds, 3, timeout_ms) <= 0) return;
    if (fds[0].revents != 0) Feed();
    if (fds[1].revents != 0 && !Collect(out_.read_end, output_)) out_.CloseRead();
    if (fds[2].revents != 0 && !Collect(err_.read_end, diagnostics_)) err_.CloseRead();
    if (diagnostics_.size() > 2 * kKeptDiagnostics) {
      diagnostics_.erase(0, diagnostics_.size() - kKeptDiagnostics);
    }
  }

  std::string& output() { return output_; }
  std::string& diagnostics() { return diagnostics_; }

 private:
  void Feed() {
    const ssize_t written = write(in_.write_end, input_.data(), input_.size());
    if (written > 0) input_.remove_prefix(written);
    if (input_.empty() || (written < 0 && errno != EAGAIN)) in_.CloseWrite();
  }

  static bool Collect(int fd, std::string& into) {
    char buffer[16 << 10];
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got > 0) into.append(buffer, got);
    return got > 0 || (got < 0 && errno == EAGAIN);
  }

  Pipe& in_;
  Pipe& out_;
  Pipe& err_;
  std::string_view input_;
  std::string output_;
  std::string diagnostics_;
};

}  // namespace

absl::StatusOr<ChildResult> RunChild(Spawner& spawner, const std::vector<std::string>& arguments,
                                     const std::string& input, absl::Duration timeout,
                                     const CancelToken& cancel) {
  Pipe in, out, err;
  if (!in.Open() || !out.Open() || !err.Open()) return absl::ErrnoToStatus(errno, "pipe");
  const absl::Time deadline = absl::Now() + timeout;
  ChildCommand command{.arguments = arguments, .extra_environment = {}};
  command.stdin_fd = in.read_end;
  command.stdout_fd = out.write_end;
  command.stderr_fd = err.write_end;
  ASSIGN_OR_RETURN(const pid_t child, spawner.Spawn(command));
  absl::Cleanup kill_group = [child] { KillGroup(child); };

  Conversation conversation(in, out, err, input);
  while (!conversation.over()) {
    if (cancel.cancelled()) return absl::CancelledError("the worker is being stopped");
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("no answer within ", absl::FormatDuration(timeout)));
    }
    if (conversation.output().size() > kMaxOutputBytes) {
      return absl::ResourceExhaustedError("the answer is too large");
    }
    conversation.Step(kCancelPollMs);
  }
  std::move(kill_group).Cancel();
  siginfo_t info;
  waitid(P_PID, child, &info, WEXITED | WNOWAIT);
  return ChildResult{KillGroup(child), std::move(conversation.output()),
                     std::move(conversation.diagnostics())};
}

}  // namespace dropbp::agent
