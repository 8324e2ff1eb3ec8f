// One life of the stream to the coordinator.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/worker_gateway.grpc.pb.h"

namespace dropbp::agent {

// Asynchronous underneath, so that its owner, one thread, waits for many things at once: `on_event`
// (called on gRPC's threads with a lock held; must be quick and must not call back) says that
// CanSend(), Take() or over() may have changed.
class GatewayStream final
    : public grpc::ClientBidiReactor<v1::SessionRequest, v1::SessionResponse> {
 public:
  GatewayStream(v1::WorkerGatewayService::Stub& stub, std::function<void()> on_event);
  // Cancels the stream if it is not over.
  ~GatewayStream() override;

  // Whether a frame may be sent now.
  bool CanSend() const;
  // Begins to send; CanSend() must be true.
  void Send(const v1::SessionRequest& frame);
  // The next frame that came, if there is one.
  std::optional<v1::SessionResponse> Take();
  // Whether nothing more will come.
  bool over() const;
  // How the stream ended; call it once, when over().
  grpc::Status Finish();

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  const std::function<void()> on_event_;
  grpc::ClientContext context_;
  v1::SessionRequest outgoing_;   // gRPC's while writing_
  v1::SessionResponse incoming_;  // gRPC's until incoming_ready_
  bool finished_ = false;         // the owner's

  mutable absl::Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool incoming_ready_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::agent
