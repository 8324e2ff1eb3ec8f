#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dropbp::client {
namespace {

// A page of jobs with their plans may be larger than gRPC's default of 4 MiB.
constexpr int kMaxMessageBytes = 64 << 20;

bool IsLoopback(absl::string_view host) {
  return host == "localhost" || host == "[::1]" || absl::StartsWith(host, "127.");
}

absl::Status CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return absl::OkStatus();
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("coordinator address: found \"", address,
                     "\", legal is HOST:PORT with a port of 1 to 65535, for example ",
                     kDefaultCoordinator, ", or unix:/path"));
  }
  if (!IsLoopback(absl::string_view(address).substr(0, colon))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "coordinator address: found \"", address,
        "\", legal are loopback addresses (127.0.0.1, [::1], localhost) and Unix sockets, because "
        "the connection is not encrypted; reach another machine through a tunnel: "
        "ssh -L 7070:127.0.0.1:7070 HOST"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& address) {
  RETURN_IF_ERROR(CheckAddress(address));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // the address is on this machine
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace dropbp::client
