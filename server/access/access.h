// Who may call what, where peers are known by certificates. Knows no gRPC.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp::server {

// What a certificate makes of its holder.
enum class Role {
  kNone,    // verified, but without a role
  kUser,    // submits and watches jobs
  kWorker,  // a worker agent
  kAdmin,   // everything
};

// "user", "worker", "admin"; "none".
std::string_view RoleName(Role role);

// The role of a certificate with these URI names (subjectAltName). It must have exactly one URI,
// of the form
//   spiffe://<trust domain>/dropbp/<role>
// with role user, worker or admin; any other gives no role. Which trust domains there are is up to
// the authority that signs.
Role RoleOf(const std::vector<std::string>& uris);

// OK if a peer with this role may call the method ("dropbp.v1.JobService/GetJob"). Else
// PERMISSION_DENIED, reason ROLE_NOT_ALLOWED, with method, role and legal_roles as its metadata.
// What is not in the table (access.cc) is allowed to nobody.
absl::Status CheckAccess(std::string_view method, Role role);

}  // namespace dropbp::server
