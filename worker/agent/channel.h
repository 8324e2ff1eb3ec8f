// How the agent reaches the coordinator.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace dropbp::agent {

// Where the coordinator is, and what shows to each other who both are. Copies share credentials.
struct CoordinatorEndpoint {
  std::string address;  // host:port or unix:path
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  std::string server_name = "";  // that its certificate must hold; empty: the dialled host
};

// A channel without proxies and without gRPC's own back-off (callers have theirs).
std::shared_ptr<grpc::Channel> MakeChannel(const CoordinatorEndpoint& coordinator);

// Waiting times between attempts: 0.1 s, doubling to 2 s.
class BackOff {
 public:
  absl::Duration Next();
  void Reset() { next_ = kFirst; }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(100);
  static constexpr absl::Duration kLargest = absl::Seconds(2);
  absl::Duration next_ = kFirst;
};

}  // namespace dropbp::agent
