// The coordinator's side of the worker gateway, on a real gRPC server: takes in frames,
// acknowledges them, sends what a test tells it to, and keeps files.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "dropbp/v1/artifacts.grpc.pb.h"
#include "dropbp/v1/worker_gateway.grpc.pb.h"

namespace dropbp::agent {

inline constexpr absl::Duration kPatience = absl::Seconds(30);  // of every wait of these tests

class GatewayServer {
 public:
  GatewayServer();
  ~GatewayServer();

  // "127.0.0.1:<port>"; the same after Stop() and Start().
  const std::string& address() const { return address_; }
  void Start();
  // Breaks all streams and stops listening.
  void Stop();

  // Whether numbered frames are acknowledged as they come (the default).
  void set_acknowledges(bool acknowledges);
  // Ends the current stream from this side.
  void EndStream();
  // Sends over the current stream; waits for one if there is none.
  void Send(const v1::SessionResponse& response);
  void Acknowledge(int64_t sequence);

  // All numbered frames in order of arrival; those sent again come again.
  std::vector<v1::SessionRequest> Frames();
  std::vector<v1::WorkerHello> Hellos();
  int Heartbeats();
  // Waits (at most 30 s) until `condition` holds for the frames; false if it never does.
  bool Await(const std::function<bool(const std::vector<v1::SessionRequest>&)>& condition);
  bool AwaitHellos(size_t count);
  bool AwaitHeartbeats(int count);
  // The first frame that fits; fails the test and returns an empty one if none comes.
  v1::SessionRequest AwaitFrame(const std::function<bool(const v1::SessionRequest&)>& fits);

  // Keeps a file and returns its SHA-256.
  std::string AddArtifact(const std::string& content);
  // Serves these bytes under another file's hash.
  void ServeInstead(const std::string& sha256, const std::string& content);
  // The content of an uploaded file; empty if there is none.
  std::string Artifact(const std::string& sha256);
  // Number of downloads begun.
  int Downloads();
  // The next calls of UploadFile and DownloadFile fail with this code.
  void FailNextTransfers(int count, grpc::StatusCode code);

 private:
  class Gateway;
  class Artifacts;
  struct State;
  template <typename Condition>
  bool AwaitState(const Condition& condition);

  std::string address_;
  std::unique_ptr<State> state_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<Artifacts> artifacts_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace dropbp::agent
