// The door that every call goes through: who calls, and may they?
//
// Where roles are checked, a call is refused in one of two places, both by CheckAccess():
// a. calls of gRPC's own services (health, reflection), and of services that are not there, before
//    they reach a service: MakeDoor() on the server's credentials;
// b. calls of dropbp.v1 in their handlers, which go through Unary() and Stream(): only a handler
// can
//    send google.rpc.ErrorInfo along.
#pragma once

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/auth_metadata_processor.h>

#include <memory>
#include <string_view>

#include "core/base/status.h"
#include "proto/support/grpc_status.h"
#include "server/access/access.h"

namespace dropbp::server {

// A stream that ends before it begins. `Reactor` is a gRPC callback reactor of a server.
template <typename Reactor>
class RefusedStream final : public Reactor {
 public:
  explicit RefusedStream(const absl::Status& why) { this->Finish(ToGrpcStatus(why)); }
  void OnDone() override { delete this; }
};

// Thread-safe.
class Gate {
 public:
  // Without `checks_roles` everything is allowed: a server without TLS, on loopback.
  explicit Gate(bool checks_roles) : checks_roles_(checks_roles) {}

  // Whether the peer may call the method ("dropbp.v1.JobService/GetJob").
  absl::Status Check(const grpc::ServerContextBase& context, std::string_view method) const;

  // A unary call: `answer` returns absl::StatusOr<Response>, and is not run for those who may not.
  template <typename Response, typename Answer>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, std::string_view method,
                                  Response* response, Answer answer) const {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    absl::Status status = Check(*context, method);
    if (status.ok()) {
      absl::StatusOr<Response> result = answer();
      if (result.ok()) *response = *std::move(result);
      status = result.status();
    }
    reactor->Finish(ToGrpcStatus(status));
    return reactor;
  }

  // A streaming call: `open` returns its reactor, and is not run for those who may not.
  template <typename Reactor, typename Open>
  Reactor* Stream(grpc::CallbackServerContext* context, std::string_view method, Open open) const {
    const absl::Status status = Check(*context, method);
    if (status.ok()) return open();
    return new RefusedStream<Reactor>(status);
  }

 private:
  const bool checks_roles_;
};

// Case a. For the credentials of a server with TLS.
std::shared_ptr<grpc::AuthMetadataProcessor> MakeDoor();

}  // namespace dropbp::server
