// How the client reaches a coordinator.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/security/tls_files.h"

namespace dropbp::client {

inline constexpr char kDefaultCoordinator[] = "127.0.0.1:7070";

// Where a coordinator is, and what shows to each other who both are.
struct CoordinatorEndpoint {
  std::string address = kDefaultCoordinator;  // "host:port", "[::1]:port" or "unix:/path"
  TlsFiles tls;                               // none: plain text
  std::string tls_server_name;                // that the certificate must name; empty: the host
};

// A channel that connects on first use and reconnects within 2 s. INVALID_ARGUMENT for an illegal
// address, for some of the TLS files without the others or files that cannot be used, and for an
// address off loopback without TLS.
absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const CoordinatorEndpoint& endpoint);

}  // namespace dropbp::client
