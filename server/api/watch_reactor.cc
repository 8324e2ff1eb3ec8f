#include "server/api/watch_reactor.h"

#include <memory>

#include "proto/support/grpc_status.h"
#include "server/api/message_queue.h"

namespace dropbp::server {
namespace {

// A client that reads slower than steps happen misses steps, never stored events.
constexpr size_t kMostWaitingSteps = 256;

class WatchReactor : public grpc::ServerWriteReactor<v1::JobEvent>, public JobWatcher {
 public:
  WatchReactor(Coordinator& coordinator, const std::string& job_id)
      : coordinator_(coordinator), job_id_(job_id), queue_(this) {}

  void Start(std::shared_ptr<WatchReactor> self, int64_t after_sequence) {
    self_ = self;
    const absl::Status status = coordinator_.Watch(job_id_, after_sequence, std::move(self));
    if (!status.ok()) queue_.End(ToGrpcStatus(status));
  }

  void OnEvent(const v1::JobEvent& event) override {
    if (event.type() == v1::JobEvent::STEP && queue_.size() >= kMostWaitingSteps) return;
    queue_.Push(event);
  }
  void OnEnd(const absl::Status& status) override { queue_.End(ToGrpcStatus(status)); }

  void OnWriteDone(bool ok) override { queue_.OnWriteDone(ok); }
  void OnCancel() override { queue_.Abort(grpc::Status::CANCELLED); }
  void OnDone() override {
    coordinator_.Unwatch(job_id_, this);
    self_.reset();
  }

 private:
  Coordinator& coordinator_;
  const std::string job_id_;
  MessageQueue<WatchReactor, v1::JobEvent> queue_;
  std::shared_ptr<WatchReactor> self_;  // until OnDone
};

}  // namespace

grpc::ServerWriteReactor<v1::JobEvent>* StartWatch(Coordinator& coordinator,
                                                   const v1::WatchJobRequest& request) {
  auto reactor = std::make_shared<WatchReactor>(coordinator, request.job_id());
  reactor->Start(reactor, request.after_sequence());
  return reactor.get();
}

}  // namespace dropbp::server
