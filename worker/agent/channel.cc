#include "worker/agent/channel.h"

#include <algorithm>

namespace dropbp::agent {
namespace {

// A mask block of a large global batch is some megabytes; gRPC's default limit is 4 MiB.
constexpr int kMaxMessageBytes = 64 << 20;

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const CoordinatorEndpoint& coordinator) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Channels must not share connections, or one would wait out another's failed attempt.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!coordinator.server_name.empty()) {
    arguments.SetSslTargetNameOverride(coordinator.server_name);
  }
  return grpc::CreateCustomChannel(coordinator.address, coordinator.credentials, arguments);
}

absl::Duration BackOff::Next() {
  const absl::Duration now = next_;
  next_ = std::min(next_ * 2, kLargest);
  return now;
}

}  // namespace dropbp::agent
