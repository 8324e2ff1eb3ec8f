// How the client reaches a coordinator.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "core/base/status.h"

namespace dropbp::client {

inline constexpr char kDefaultCoordinator[] = "127.0.0.1:7070";

// A channel to "host:port", "[::1]:port" or "unix:/path". It connects on first use and reconnects
// within 2 s. INVALID_ARGUMENT unless the address is a loopback address or a Unix socket: only
// there is plain text allowed.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address);

}  // namespace dropbp::client
