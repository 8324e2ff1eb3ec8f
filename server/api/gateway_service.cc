#include "server/api/gateway_service.h"

#include <memory>

#include "proto/support/grpc_status.h"
#include "server/api/message_queue.h"

namespace dropbp::server {
namespace {

// Passes frames in to the coordinator, one at a time, and out from its outbox.
class SessionReactor : public grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>,
                       public WorkerOutbox {
 public:
  explicit SessionReactor(Coordinator& coordinator) : coordinator_(coordinator), queue_(this) {}

  void Start(std::shared_ptr<SessionReactor> self) {
    self_ = std::move(self);
    StartRead(&frame_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return queue_.End(grpc::Status::OK);
    const absl::Status status = coordinator_.Receive(self_, frame_);
    if (!status.ok()) return queue_.End(ToGrpcStatus(status));
    StartRead(&frame_);
  }
  void OnWriteDone(bool ok) override { queue_.OnWriteDone(ok); }
  void OnCancel() override { queue_.Abort(grpc::Status::CANCELLED); }
  void OnDone() override {
    coordinator_.Disconnected(this);
    self_.reset();
  }

  void Send(v1::SessionResponse frame) override { queue_.Push(std::move(frame)); }
  void Close(const absl::Status& status) override { queue_.End(ToGrpcStatus(status)); }

 private:
  Coordinator& coordinator_;
  v1::SessionRequest frame_;
  MessageQueue<SessionReactor, v1::SessionResponse> queue_;
  std::shared_ptr<SessionReactor> self_;  // until OnDone
};

}  // namespace

grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* GatewayServiceImpl::Session(
    grpc::CallbackServerContext* context) {
  return gate_.Stream<grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>>(
      context, "dropbp.v1.WorkerGatewayService/Session", [&]() {
        auto reactor = std::make_shared<SessionReactor>(coordinator_);
        reactor->Start(reactor);
        return reactor.get();
      });
}

}  // namespace dropbp::server
