#include "worker/agent/log_pump.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_split.h"
#include "core/base/text.h"

namespace dropbp::agent {
namespace {

constexpr size_t kReadBytes = 16 << 10;
// At most this many at a time, so that a talkative trainer does not hold up its supervisor; more
// than a pipe holds.
constexpr int kMaxReads = 64;
// A line longer than this is handed out in pieces.
constexpr size_t kMaxLineBytes = 64 << 10;
// The newest lines are for people; a longer one is cut.
constexpr size_t kMaxLastLineBytes = 2 << 10;

}  // namespace

LogPump::LogPump(int pipe_fd, std::string log_path, std::function<void(std::string)> on_lines)
    : pipe_fd_(pipe_fd),
      log_fd_(open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)),
      on_lines_(std::move(on_lines)) {
  fcntl(pipe_fd_, F_SETFL, fcntl(pipe_fd_, F_GETFL) | O_NONBLOCK);
}

LogPump::~LogPump() {
  close(pipe_fd_);
  if (log_fd_ >= 0) close(log_fd_);
}

bool LogPump::Pump() {
  char buffer[kReadBytes];
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t got = read(pipe_fd_, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    // A full disk must not stop training: the lines still go up.
    if (log_fd_ >= 0) (void)!write(log_fd_, buffer, got);
    Add({buffer, static_cast<size_t>(got)});
  }
  return true;
}

void LogPump::Finish() {
  if (unfinished_.empty()) return;
  HandOut(unfinished_ + "\n");
  unfinished_.clear();
}

void LogPump::Add(std::string_view bytes) {
  unfinished_.append(bytes);
  const size_t end = unfinished_.rfind('\n');
  if (end != std::string::npos) {
    HandOut(std::string_view(unfinished_).substr(0, end + 1));
    unfinished_.erase(0, end + 1);
  }
  if (unfinished_.size() > kMaxLineBytes) Finish();
}

void LogPump::HandOut(std::string_view lines) {
  std::string text = ToValidUtf8(lines);
  std::string_view rest = text;
  rest.remove_suffix(1);
  for (const absl::string_view line : absl::StrSplit(AbslView(rest), '\n')) {
    last_lines_.push_back(Shortened(StdView(line), kMaxLastLineBytes));
    if (last_lines_.size() > kLastLines) last_lines_.pop_front();
  }
  on_lines_(std::move(text));
}

}  // namespace dropbp::agent
