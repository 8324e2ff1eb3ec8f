// The gRPC server: the four services, health and reflection on one port.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/security/tls_files.h"
#include "server/api/artifact_service.h"
#include "server/api/cluster_service.h"
#include "server/api/gate.h"
#include "server/api/gateway_service.h"
#include "server/api/job_service.h"

namespace dropbp::server {

struct ApiOptions {
  std::string listen = "127.0.0.1:7070";  // host:port, port 0: any free one; or unix:PATH
  TlsFiles tls = {};                      // none: plain text, and everybody may call everything
  bool reflection = false;
  // Sees every call; may be null.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> interceptor;
};

class ApiServer {
 public:
  // Serves until Stop. UNAVAILABLE if the address cannot be listened on. The arguments outlive the
  // server.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(ApiOptions options,
                                                          Coordinator& coordinator,
                                                          ArtifactStore& artifacts,
                                                          const LogStore& logs);
  // "host:port" with the port that was chosen, or unix:PATH.
  const std::string& address() const { return address_; }
  // Takes no more calls, and cuts those that are not done after `grace`.
  void Stop(absl::Duration grace);

 private:
  ApiServer(bool checks_roles, Coordinator& coordinator, ArtifactStore& artifacts,
            const LogStore& logs)
      : gate_(checks_roles),
        jobs_(gate_, coordinator, logs),
        artifacts_(gate_, artifacts),
        cluster_(gate_, coordinator),
        gateway_(gate_, coordinator) {}

  const Gate gate_;
  JobServiceImpl jobs_;
  ArtifactServiceImpl artifacts_;
  ClusterServiceImpl cluster_;
  GatewayServiceImpl gateway_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace dropbp::server
