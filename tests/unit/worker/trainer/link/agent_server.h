// The agent's side of the trainer link, on a real gRPC server over a Unix socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "dropbp/v1/trainer_link.grpc.pb.h"

namespace dropbp::trainer {

inline constexpr absl::Duration kPatience = absl::Seconds(30);  // of every wait of these tests

// Gives the assignment to whoever knows the token "secret", and keeps what it is told.
class AgentServer final : public v1::TrainerLinkService::Service {
 public:
  AgentServer();
  ~AgentServer() override;

  const std::string& socket_path() const { return socket_path_; }
  // Breaks the streams.
  void Stop();
  // How a stream ends after `finished`.
  void set_final_status(grpc::Status status);
  // Sends over the open stream.
  void Send(const v1::ConnectResponse& response);
  // The first message that fits; fails the test after 30 s.
  v1::ConnectRequest Await(const std::function<bool(const v1::ConnectRequest&)>& fits);
  std::vector<v1::ConnectRequest> Messages();
  // Waits until the open stream has ended.
  void AwaitStreamEnd();

  grpc::Status Connect(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>* stream) override;

 private:
  std::string folder_;
  std::string socket_path_;
  std::unique_ptr<grpc::Server> server_;
  absl::Mutex mutex_;
  grpc::Status final_status_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ConnectRequest> messages_ ABSL_GUARDED_BY(mutex_);
  grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>* stream_
      ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace dropbp::trainer
