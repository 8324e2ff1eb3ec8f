// The agent's conversation with the coordinator, over as many streams as it takes; the protocol is
// told in proto/dropbp/v1/worker_gateway.proto.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/worker_gateway.grpc.pb.h"
#include "worker/agent/channel.h"
#include "worker/agent/gateway_stream.h"
#include "worker/agent/outbox.h"

namespace dropbp::agent {

// How the conversation goes.
struct SessionStats {
  bool connected = false;     // a stream is open and was welcomed
  int64_t welcomed = 0;       // streams that were, so far
  size_t backlog_frames = 0;  // not acknowledged yet
  size_t backlog_bytes = 0;
  int64_t given_up_frames = 0;  // because the backlog grew too large
};

// Keeps one stream open from its own thread: hello, welcome, heartbeats, acknowledgements; after an
// end it waits 0.1 s, doubling to 2 s, and connects again, sending what was not acknowledged.
// Thread-safe.
class CoordinatorSession {
 public:
  struct Hooks {
    // The hello of a new stream; called on the session's thread.
    std::function<v1::WorkerHello()> hello;
    // The models that there are now, asked for at each heartbeat: where they are others than hello
    // told, a new stream tells them. Called on the session's thread.
    std::function<std::vector<std::string>()> models;
    // A frame of the coordinator other than welcome and acknowledged; called on the session's
    // thread, so it must be quick.
    std::function<void(const v1::SessionResponse&)> on_response;
  };

  CoordinatorSession(CoordinatorEndpoint coordinator, Hooks hooks);
  ~CoordinatorSession() { Close(); }

  // Begins to connect.
  void Start();
  // Queues a frame; never blocks on the network.
  void Send(v1::SessionRequest frame);
  // Queues a frame and waits until the coordinator has acknowledged it; false if it did not within
  // the timeout.
  bool SendAndAwait(v1::SessionRequest frame, absl::Duration timeout);
  // Waits until the coordinator has acknowledged all that was sent; false if it did not within the
  // timeout.
  bool Flush(absl::Duration timeout);
  SessionStats Stats();
  // Closes the stream; no hook is called any more once it returns.
  void Close();

 private:
  void Run();
  // One stream from hello to its end; true if it was welcomed.
  bool RunStream();
  // Says in the log how a stream ended; once, not at every try, that nobody answers.
  void LogEnd(const grpc::Status& status, bool welcomed);
  // Sends hello and waits for welcome; false if the stream is over first or nothing comes in time.
  bool Greet(GatewayStream& stream);
  // Works on a welcomed stream until it is over, stalls, or the session stops.
  void Converse(GatewayStream& stream);
  void TakeIn(const v1::SessionResponse& response);
  void SendNext(GatewayStream& stream);
  void SendHeartbeat(GatewayStream& stream);
  // Whether there are other models than the coordinator was told.
  bool HasOtherModels() const;
  // Whether the coordinator owes an acknowledgement for longer than the lease.
  bool IsStalled();

  void SetConnected(bool connected);
  void Wake();
  // Waits for Wake() or a point in time; false once the session stops.
  bool WaitForEvent(absl::Time until);
  bool stopping();

  const CoordinatorEndpoint coordinator_;
  const Hooks hooks_;
  std::thread thread_;

  // The session thread's own.
  absl::Duration lease_ = absl::Seconds(15);
  absl::Duration heartbeat_ = absl::Seconds(2);
  bool told_away_ = false;  // that the coordinator does not answer was logged
  absl::Time next_heartbeat_;
  std::vector<std::string> told_models_;  // by the newest hello
  absl::Time last_progress_;              // when something was acknowledged, or nothing was owed

  absl::Mutex mutex_;
  Outbox outbox_ ABSL_GUARDED_BY(mutex_);
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t welcomed_ ABSL_GUARDED_BY(mutex_) = 0;
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace dropbp::agent
