#include "worker/agent/gateway_stream.h"

namespace dropbp::agent {

GatewayStream::GatewayStream(v1::WorkerGatewayService::Stub& stub, std::function<void()> on_event)
    : on_event_(std::move(on_event)) {
  stub.async()->Session(&context_, this);
  // Operations are started by the owner, outside gRPC's reactions; the hold keeps the call alive
  // for them.
  AddHold();
  StartRead(&incoming_);
  StartCall();
}

GatewayStream::~GatewayStream() {
  if (finished_) return;
  context_.TryCancel();
  Finish();
}

bool GatewayStream::CanSend() const {
  absl::MutexLock lock(&mutex_);
  return !writing_ && !over_;
}

void GatewayStream::Send(const v1::SessionRequest& frame) {
  {
    absl::MutexLock lock(&mutex_);
    writing_ = true;
  }
  outgoing_ = frame;
  StartWrite(&outgoing_);
}

std::optional<v1::SessionResponse> GatewayStream::Take() {
  {
    absl::MutexLock lock(&mutex_);
    if (!incoming_ready_) return std::nullopt;
    incoming_ready_ = false;
  }
  std::optional<v1::SessionResponse> taken = std::move(incoming_);
  incoming_.Clear();
  StartRead(&incoming_);
  return taken;
}

bool GatewayStream::over() const {
  absl::MutexLock lock(&mutex_);
  return over_;
}

grpc::Status GatewayStream::Finish() {
  finished_ = true;
  RemoveHold();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&done_));
  return status_;
}

void GatewayStream::OnReadDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  (ok ? incoming_ready_ : over_) = true;
  on_event_();
}

void GatewayStream::OnWriteDone(bool) {
  // A write that failed needs no mark: the read fails as well.
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  on_event_();
}

void GatewayStream::OnDone(const grpc::Status& status) {
  // Under the lock to its end: the owner destroys this object once it sees done_.
  absl::MutexLock lock(&mutex_);
  status_ = status;
  done_ = true;
}

}  // namespace dropbp::agent
