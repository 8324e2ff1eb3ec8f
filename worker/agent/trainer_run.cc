#include "worker/agent/trainer_run.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/check.h"
#include "core/base/text.h"

namespace dropbp::agent {
namespace {

constexpr size_t kTokenBytes = 32;
// A dead process's last reports are in the socket already; more time than this only a bug takes.
constexpr absl::Duration kLinkEndTimeout = absl::Seconds(10);
// A trainer that is done unloads its model and ends.
constexpr absl::Duration kEndTimeout = absl::Seconds(30);

std::string RandomToken() {
  char bytes[kTokenBytes];
  DROPBP_CHECK_EQ(getrandom(bytes, sizeof(bytes), 0), static_cast<ssize_t>(sizeof(bytes)));
  return absl::BytesToHexString({bytes, sizeof(bytes)});
}

// Milliseconds from now, rounded up, for poll(); -1 for never.
int PollTimeout(absl::Time until) {
  if (until == absl::InfiniteFuture()) return -1;
  const int64_t ms = absl::ToInt64Milliseconds(until - absl::Now()) + 1;
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 3600 * 1000));
}

}  // namespace

TrainerRun::TrainerRun(TrainerHost& host, RankKey key, Slot slot, std::function<void()> on_ended)
    : host_(host),
      key_(std::move(key)),
      slot_(std::move(slot)),
      token_(RandomToken()),
      on_ended_(std::move(on_ended)),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

TrainerRun::~TrainerRun() {
  if (supervisor_.joinable()) supervisor_.join();
  if (pid_fd_ >= 0) close(pid_fd_);
  close(wake_fd_);
}

bool TrainerRun::ended() const {
  absl::MutexLock lock(&mutex_);
  return state_ == State::kEnded;
}

pid_t TrainerRun::running_pid() const {
  absl::MutexLock lock(&mutex_);
  return running_pid_;
}

void TrainerRun::SetRunning(pid_t pid) {
  absl::MutexLock lock(&mutex_);
  running_pid_ = pid;
}

void TrainerRun::Launch(v1::Assignment assignment) {
  {
    absl::MutexLock lock(&mutex_);
    if (state_ != State::kWaiting) return;
    state_ = State::kRunning;
    assignment_ = std::move(assignment);
  }
  const absl::Status started = StartProcess();
  if (started.ok()) {
    spdlog::info("{}: trainer started, process {}, slot {}", Name(key_), pid_, slot_.index);
    SetRunning(pid_);
    supervisor_ = std::thread([this] { Supervise(); });
    return;
  }
  v1::RankExited exited;
  exited.set_exit_code(-1);
  exited.set_start_error(ToValidUtf8(StdView(started.message())));
  End(std::move(exited));
}

void TrainerRun::FailStart(const std::string& error) {
  {
    absl::MutexLock lock(&mutex_);
    if (state_ != State::kWaiting) return;
    state_ = State::kRunning;  // nobody else may end it now
  }
  v1::RankExited exited;
  exited.set_exit_code(-1);
  exited.set_start_error(ToValidUtf8(error));
  End(std::move(exited));
}

void TrainerRun::Stop(const std::string& reason, absl::Duration grace, bool save_checkpoint) {
  cancel_.Cancel();
  if (!save_checkpoint) transfers_.Cancel();
  FailStart("stopped before it started: " + reason);
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  if (state_ == State::kEnded) return;
  v1::ConnectResponse message;
  message.mutable_stop()->set_reason(reason);
  message.mutable_stop()->set_save_checkpoint(save_checkpoint);
  messages_.push_back(std::move(message));
  const absl::Duration patience = save_checkpoint ? grace : grace / 2;
  PlanStop({.terminate = linked_ ? now + patience : now, .kill = now + grace});
}

void TrainerRun::ExpectEnd() {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  PlanStop({.terminate = now + kEndTimeout, .kill = now + 2 * kEndTimeout});
}

void TrainerRun::PlanStop(StopPlan plan) {
  stop_plan_.terminate = std::min(stop_plan_.terminate, plan.terminate);
  stop_plan_.kill = std::min(stop_plan_.kill, plan.kill);
  eventfd_write(wake_fd_, 1);
}

void TrainerRun::Deliver(const v1::TrainerCommand& command) {
  absl::MutexLock lock(&mutex_);
  if (state_ == State::kEnded) return;
  *messages_.emplace_back().mutable_command() = command;
}

std::optional<v1::Assignment> TrainerRun::AttachLink(std::function<void()> sever) {
  absl::MutexLock lock(&mutex_);
  if (state_ != State::kRunning || linked_ || closing_messages_) return std::nullopt;
  linked_ = true;
  sever_ = std::move(sever);
  return assignment_;
}

std::optional<v1::ConnectResponse> TrainerRun::NextMessage() {
  absl::MutexLock lock(&mutex_);
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !messages_.empty() || closing_messages_;
  };
  mutex_.Await(absl::Condition(&has_work));
  if (closing_messages_) return std::nullopt;
  v1::ConnectResponse message = std::move(messages_.front());
  messages_.pop_front();
  return message;
}

void TrainerRun::CloseMessages() {
  absl::MutexLock lock(&mutex_);
  closing_messages_ = true;
}

void TrainerRun::DetachLink() {
  absl::MutexLock lock(&mutex_);
  linked_ = false;
  sever_ = nullptr;
}

ChildCommand TrainerRun::Command(int output_fd) const {
  ChildCommand command;
  command.arguments = {host_.trainer, "run", "--socket", host_.folder.SocketPath()};
  command.extra_environment = {"DROPBP_TRAINER_TOKEN=" + token_,
                               absl::StrCat("OMP_NUM_THREADS=", slot_.threads)};
  if (slot_.kind == v1::DeviceSlot::CUDA) {
    command.extra_environment.push_back("CUDA_VISIBLE_DEVICES=" + slot_.gpu_uuid);
  }
  command.stdout_fd = output_fd;
  command.stderr_fd = output_fd;
  return command;
}

absl::Status TrainerRun::StartProcess() {
  RETURN_IF_ERROR(host_.folder.MakeFolders(key_));
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  output_ = std::make_unique<LogPump>(pipe_ends[0], host_.folder.LogPath(key_),
                                      [this](std::string lines) { SendLog(std::move(lines)); });
  const absl::StatusOr<pid_t> pid = host_.spawner.Spawn(Command(pipe_ends[1]));
  close(pipe_ends[1]);
  if (!pid.ok()) return pid.status();
  pid_ = *pid;
  pid_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pid_fd_ >= 0) return absl::OkStatus();
  const int error = errno;
  KillGroup(pid_);
  return absl::ErrnoToStatus(error, "pidfd_open");
}

void TrainerRun::Supervise() {
  bool output_open = true;
  while (!WaitForProcess(output_open)) CarryOutStop();
  SetRunning(-1);
  const ExitStatus exit = KillGroup(pid_);
  output_->Pump();
  output_->Finish();
  AwaitLinkEnd();
  spdlog::info("{}: trainer ended with {}", Name(key_), Describe(exit));
  v1::RankExited exited;
  exited.set_exit_code(exit.exit_code);
  exited.set_signal(exit.signal);
  for (const std::string& line : output_->LastLines()) exited.add_last_lines(line);
  End(std::move(exited));
}

bool TrainerRun::WaitForProcess(bool& output_open) {
  absl::Time next = absl::InfiniteFuture();
  {
    absl::MutexLock lock(&mutex_);
    if (!terminated_) next = stop_plan_.terminate;
    if (!killed_) next = std::min(next, stop_plan_.kill);
  }
  pollfd fds[] = {
      {pid_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}, {output_open ? output_->fd() : -1, POLLIN, 0}};
  if (poll(fds, 3, PollTimeout(next)) <= 0) return false;
  if (fds[2].revents != 0) output_open = output_->Pump();
  eventfd_t wakes = 0;
  if (fds[1].revents != 0) eventfd_read(wake_fd_, &wakes);
  return fds[0].revents != 0;
}

void TrainerRun::CarryOutStop() {
  StopPlan plan;
  {
    absl::MutexLock lock(&mutex_);
    plan = stop_plan_;
  }
  const absl::Time now = absl::Now();
  if (!killed_ && now >= plan.kill) {
    kill(-pid_, SIGKILL);
    killed_ = true;
  } else if (!terminated_ && now >= plan.terminate) {
    kill(-pid_, SIGTERM);
    terminated_ = true;
  }
}

void TrainerRun::AwaitLinkEnd() {
  const absl::Time sever = absl::Now() + kLinkEndTimeout;
  bool severed = false;
  bool gave_up = false;
  absl::MutexLock lock(&mutex_);
  while (linked_) {
    const absl::Time kill = stop_plan_.kill;
    const auto changed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !linked_ || stop_plan_.kill != kill;
    };
    const absl::Time next =
        std::min(severed ? absl::InfiniteFuture() : sever, gave_up ? absl::InfiniteFuture() : kill);
    if (mutex_.AwaitWithDeadline(absl::Condition(&changed), next)) continue;
    if (!severed && absl::Now() >= sever) {
      // Files are being uploaded, which takes as long as it takes, or the stream is stuck.
      severed = true;
      if (sever_) sever_();
    }
    if (!gave_up && absl::Now() >= stop_plan_.kill) {
      gave_up = true;
      transfers_.Cancel();
    }
  }
}

void TrainerRun::SendLog(std::string lines) {
  v1::SessionRequest frame;
  v1::RankLog& log = *frame.mutable_rank_log();
  log.set_job_id(key_.job_id);
  log.set_attempt(key_.attempt);
  log.set_rank(key_.rank);
  log.set_offset(log_bytes_sent_);
  log_bytes_sent_ += static_cast<int64_t>(lines.size());
  log.set_text(std::move(lines));
  host_.send(std::move(frame));
}

void TrainerRun::End(v1::RankExited exited) {
  exited.set_job_id(key_.job_id);
  exited.set_attempt(key_.attempt);
  exited.set_rank(key_.rank);
  exited.set_stopped(cancel_.cancelled());
  v1::SessionRequest frame;
  *frame.mutable_rank_exited() = std::move(exited);
  host_.folder.RemoveOutput(key_);
  host_.send(std::move(frame));
  on_ended_();
  absl::MutexLock lock(&mutex_);
  state_ = State::kEnded;
}

}  // namespace dropbp::agent
