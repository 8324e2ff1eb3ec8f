#include "client/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "core/base/check.h"

namespace dropbp::client {
namespace {

// A signal handler may only write to a descriptor; the listening thread does the rest.
int g_pipe[2] = {-1, -1};
struct sigaction g_old_int;
struct sigaction g_old_term;

constexpr char kSignalled = 's';
constexpr char kEnd = 'e';

void OnSignal(int) {
  const int saved = errno;
  [[maybe_unused]] ssize_t written = write(g_pipe[1], &kSignalled, 1);
  errno = saved;
}

void Listen(StopToken& token) {
  char byte = 0;
  while (true) {
    const ssize_t got = read(g_pipe[0], &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1 || byte == kEnd) return;
    token.Request();
  }
}

}  // namespace

void StopToken::Request() {
  absl::MutexLock lock(&mutex_);
  if (requested_) return;
  requested_ = true;
  for (const auto& callback : callbacks_) callback();
}

bool StopToken::Requested() const {
  absl::MutexLock lock(&mutex_);
  return requested_;
}

bool StopToken::WaitFor(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&requested_), duration);
}

StopToken::Callback::Callback(StopToken& token, std::function<void()> on_stop) : token_(token) {
  absl::MutexLock lock(&token_.mutex_);
  if (token_.requested_) on_stop();
  place_ = token_.callbacks_.insert(token_.callbacks_.end(), std::move(on_stop));
}

StopToken::Callback::~Callback() {
  absl::MutexLock lock(&token_.mutex_);
  token_.callbacks_.erase(place_);
}

InterruptGuard::InterruptGuard(StopToken& token) {
  DROPBP_CHECK_EQ(g_pipe[0], -1);
  DROPBP_CHECK_EQ(pipe2(g_pipe, O_CLOEXEC), 0);
  listener_ = std::thread([&token] { Listen(token); });
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &g_old_int);
  sigaction(SIGTERM, &action, &g_old_term);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &g_old_int, nullptr);
  sigaction(SIGTERM, &g_old_term, nullptr);
  [[maybe_unused]] ssize_t written = write(g_pipe[1], &kEnd, 1);
  listener_.join();
  for (int& end : g_pipe) {
    close(end);
    end = -1;
  }
}

}  // namespace dropbp::client
