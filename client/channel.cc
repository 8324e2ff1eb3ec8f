#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/security/address.h"
#include "proto/support/tls_credentials.h"

namespace dropbp::client {
namespace {

// A page of jobs with their plans may be larger than gRPC's default of 4 MiB.
constexpr int kMaxMessageBytes = 64 << 20;

absl::Status CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return absl::OkStatus();
  if (address.rfind(':') == 0 || PortOf(address).value_or(0) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("coordinator address: found \"", address,
                     "\", legal is HOST:PORT with a port of 1 to 65535, for example ",
                     kDefaultCoordinator, ", or unix:/path"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const CoordinatorEndpoint& endpoint) {
  RETURN_IF_ERROR(CheckAddress(endpoint.address));
  RETURN_IF_ERROR(
      CheckTlsRule(endpoint.tls, "coordinator address", endpoint.address, TlsSpelling::kFlag));
  RETURN_IF_ERROR(CheckTlsFiles(endpoint.tls, absl::Now()));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  if (!endpoint.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(endpoint.tls_server_name);
  }
  return grpc::CreateCustomChannel(endpoint.address, MakeChannelCredentials(endpoint.tls),
                                   arguments);
}

}  // namespace dropbp::client
