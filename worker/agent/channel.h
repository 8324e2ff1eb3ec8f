// How the agent reaches the coordinator.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace dropbp::agent {

// A channel without proxies and without gRPC's own back-off (callers have theirs); plain text.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

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
