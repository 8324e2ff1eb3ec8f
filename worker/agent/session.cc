#include "worker/agent/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace dropbp::agent {
namespace {

constexpr absl::Duration kWelcomeTimeout = absl::Seconds(10);

}  // namespace

CoordinatorSession::CoordinatorSession(CoordinatorEndpoint coordinator, Hooks hooks)
    : coordinator_(std::move(coordinator)), hooks_(std::move(hooks)) {}

void CoordinatorSession::Close() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void CoordinatorSession::Start() {
  thread_ = std::thread([this] { Run(); });
}

void CoordinatorSession::Send(v1::SessionRequest frame) {
  absl::MutexLock lock(&mutex_);
  outbox_.Push(std::move(frame));
  woken_ = true;
}

bool CoordinatorSession::SendAndAwait(v1::SessionRequest frame, absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const int64_t sequence = outbox_.Push(std::move(frame));
  woken_ = true;
  const auto settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return outbox_.IsSettled(sequence);
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&settled), timeout);
}

bool CoordinatorSession::Flush(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto all_acknowledged = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return outbox_.empty();
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&all_acknowledged), timeout);
}

SessionStats CoordinatorSession::Stats() {
  absl::MutexLock lock(&mutex_);
  return {.connected = connected_,
          .welcomed = welcomed_,
          .backlog_frames = outbox_.size(),
          .backlog_bytes = outbox_.bytes(),
          .given_up_frames = outbox_.given_up()};
}

void CoordinatorSession::SetConnected(bool connected) {
  absl::MutexLock lock(&mutex_);
  connected_ = connected;
  if (connected) ++welcomed_;
}

void CoordinatorSession::Run() {
  BackOff back_off;
  while (!stopping()) {
    if (RunStream()) back_off.Reset();
    const absl::Time again = absl::Now() + back_off.Next();
    while (absl::Now() < again && WaitForEvent(again)) {
    }
  }
}

bool CoordinatorSession::RunStream() {
  const auto stub = v1::WorkerGatewayService::NewStub(MakeChannel(coordinator_));
  GatewayStream stream(*stub, [this] { Wake(); });
  const bool welcomed = Greet(stream);
  if (welcomed) {
    spdlog::info("connected to the coordinator at {}", coordinator_.address);
    SetConnected(true);
    Converse(stream);
    SetConnected(false);
  }
  if (stream.over()) LogEnd(stream.Finish(), welcomed);
  return welcomed;
}

void CoordinatorSession::LogEnd(const grpc::Status& status, bool welcomed) {
  const bool away = !welcomed && status.error_code() == grpc::StatusCode::UNAVAILABLE;
  if (!away) {
    spdlog::warn("the stream to the coordinator at {} ended: {}", coordinator_.address,
                 status.ok() ? "closed by the coordinator" : status.error_message());
  } else if (!told_away_) {
    spdlog::info("the coordinator at {} does not answer ({}); trying again", coordinator_.address,
                 status.error_message());
  }
  told_away_ = away;
}

bool CoordinatorSession::Greet(GatewayStream& stream) {
  v1::SessionRequest request;
  *request.mutable_hello() = hooks_.hello();
  told_models_.assign(request.hello().models().begin(), request.hello().models().end());
  stream.Send(request);
  const absl::Time deadline = absl::Now() + kWelcomeTimeout;
  while (WaitForEvent(deadline)) {
    if (const auto response = stream.Take()) {
      if (!response->has_welcome()) continue;
      TakeIn(*response);
      return true;
    }
    if (stream.over()) return false;
    if (absl::Now() >= deadline) {
      spdlog::warn("no welcome from {} within {}", coordinator_.address,
                   absl::FormatDuration(kWelcomeTimeout));
      return false;
    }
  }
  return false;
}

void CoordinatorSession::Converse(GatewayStream& stream) {
  next_heartbeat_ = absl::Now() + heartbeat_;
  last_progress_ = absl::Now();
  while (!stream.over()) {
    while (const auto response = stream.Take()) TakeIn(*response);
    if (stream.CanSend() && absl::Now() >= next_heartbeat_) {
      if (HasOtherModels()) {
        spdlog::info("there are other models than before; connecting anew to tell them");
        return;
      }
      SendHeartbeat(stream);
    }
    if (stream.CanSend()) SendNext(stream);
    if (IsStalled()) {
      spdlog::warn("the coordinator has acknowledged nothing for {}; connecting anew",
                   absl::FormatDuration(lease_));
      return;
    }
    if (!WaitForEvent(std::max(next_heartbeat_, absl::Now() + heartbeat_ / 10))) return;
  }
}

void CoordinatorSession::TakeIn(const v1::SessionResponse& response) {
  switch (response.body_case()) {
    case v1::SessionResponse::kWelcome: {
      if (response.welcome().lease_seconds() > 0) {
        lease_ = absl::Seconds(response.welcome().lease_seconds());
      }
      if (response.welcome().heartbeat_seconds() > 0) {
        heartbeat_ = absl::Seconds(response.welcome().heartbeat_seconds());
      }
      absl::MutexLock lock(&mutex_);
      outbox_.Acknowledge(response.welcome().acknowledged());
      outbox_.Rewind();
      return;
    }
    case v1::SessionResponse::kAcknowledged: {
      last_progress_ = absl::Now();
      absl::MutexLock lock(&mutex_);
      outbox_.Acknowledge(response.acknowledged());
      return;
    }
    default:
      hooks_.on_response(response);
  }
}

void CoordinatorSession::SendNext(GatewayStream& stream) {
  v1::SessionRequest frame;
  {
    absl::MutexLock lock(&mutex_);
    const v1::SessionRequest* next = outbox_.NextUnsent();
    if (next == nullptr) return;
    frame = *next;
    outbox_.MarkSent();
  }
  stream.Send(frame);
}

void CoordinatorSession::SendHeartbeat(GatewayStream& stream) {
  v1::SessionRequest request;
  request.mutable_heartbeat();
  stream.Send(request);
  next_heartbeat_ = absl::Now() + heartbeat_;
}

bool CoordinatorSession::HasOtherModels() const { return hooks_.models() != told_models_; }

bool CoordinatorSession::IsStalled() {
  absl::MutexLock lock(&mutex_);
  if (!outbox_.awaits_acknowledgement()) last_progress_ = absl::Now();
  return absl::Now() - last_progress_ > lease_;
}

void CoordinatorSession::Wake() {
  absl::MutexLock lock(&mutex_);
  woken_ = true;
}

bool CoordinatorSession::WaitForEvent(absl::Time until) {
  absl::MutexLock lock(&mutex_);
  const auto event = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return woken_ || stopping_; };
  mutex_.AwaitWithDeadline(absl::Condition(&event), until);
  woken_ = false;
  return !stopping_;
}

bool CoordinatorSession::stopping() {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

}  // namespace dropbp::agent
