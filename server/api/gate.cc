#include "server/api/gate.h"

#include <grpc/grpc_security_constants.h>

#include <string>
#include <vector>

namespace dropbp::server {
namespace {

constexpr std::string_view kHandlersOwn = "dropbp.v1.";

Role RoleOfPeer(const grpc::AuthContext& context) {
  std::vector<std::string> uris;
  for (const grpc::string_ref& uri : context.FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    uris.emplace_back(uri.data(), uri.size());
  }
  return RoleOf(uris);
}

class Door final : public grpc::AuthMetadataProcessor {
 public:
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto path = metadata.find(":path");  // "/dropbp.v1.JobService/GetJob"
    std::string_view method;
    if (path != metadata.end()) method = {path->second.data(), path->second.size()};
    if (!method.empty()) method.remove_prefix(1);
    if (method.rfind(kHandlersOwn, 0) == 0) return grpc::Status::OK;
    return ToGrpcStatus(CheckAccess(method, RoleOfPeer(*context)));
  }
};

}  // namespace

absl::Status Gate::Check(const grpc::ServerContextBase& context, std::string_view method) const {
  if (!checks_roles_) return absl::OkStatus();
  return CheckAccess(method, RoleOfPeer(*context.auth_context()));
}

std::shared_ptr<grpc::AuthMetadataProcessor> MakeDoor() { return std::make_shared<Door>(); }

}  // namespace dropbp::server
