#include "server/api/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>

#include <mutex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/support/tls_credentials.h"

namespace dropbp::server {
namespace {

// Room for the probe of a large model: units times tensors, eight bytes each.
constexpr int kMaxMessageBytes = 32 << 20;

// Both are settings of the whole process and must come before the first server is built.
void EnablePlugins(bool reflection) {
  grpc::EnableDefaultHealthCheckService(true);
  static std::once_flag reflection_once;
  if (reflection) {
    std::call_once(reflection_once, grpc::reflection::InitProtoReflectionServerBuilderPlugin);
  }
}

std::shared_ptr<grpc::ServerCredentials> CredentialsFor(const TlsFiles& tls) {
  const auto credentials = MakeServerCredentials(tls);
  if (tls.given()) credentials->SetAuthMetadataProcessor(MakeDoor());
  return credentials;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(ApiOptions options,
                                                            Coordinator& coordinator,
                                                            ArtifactStore& artifacts,
                                                            const LogStore& logs) {
  EnablePlugins(options.reflection);
  std::unique_ptr<ApiServer> api(new ApiServer(options.tls.given(), coordinator, artifacts, logs));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.listen, CredentialsFor(options.tls), &port);
  // A second coordinator on the same port is an error, not a partner.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Agents ping to find a dead connection; an idle stream may be pinged as often as they like.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.RegisterService(&api->jobs_);
  builder.RegisterService(&api->artifacts_);
  builder.RegisterService(&api->cluster_);
  builder.RegisterService(&api->gateway_);
  if (options.interceptor) {
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
    creators.push_back(std::move(options.interceptor));
    builder.experimental().SetInterceptorCreators(std::move(creators));
  }
  api->server_ = builder.BuildAndStart();
  const bool is_unix = absl::StartsWith(options.listen, "unix:");
  if (api->server_ == nullptr || (port == 0 && !is_unix)) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options.listen,
                     ": another program listens there, or it is no address of this machine"));
  }
  api->address_ =
      is_unix ? options.listen
              : absl::StrCat(options.listen.substr(0, options.listen.rfind(':')), ":", port);
  return api;
}

void ApiServer::Stop(absl::Duration grace) {
  server_->GetHealthCheckService()->SetServingStatus(false);
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_->Wait();
}

}  // namespace dropbp::server
