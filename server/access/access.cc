#include "server/access/access.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/text.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

using Roles = std::vector<Role>;

// The one table. Admins are allowed what is in it.
const std::map<std::string, Roles, std::less<>>& Table() {
  static const auto* const table = [] {
    const Roles users = {Role::kUser};
    const Roles workers = {Role::kWorker};
    const Roles users_and_workers = {Role::kUser, Role::kWorker};
    const Roles admins_only = {};
    const Roles anyone = {Role::kNone, Role::kUser, Role::kWorker};
    return new std::map<std::string, Roles, std::less<>>{
        {"dropbp.v1.JobService/CreateJob", users},
        {"dropbp.v1.JobService/PlanJob", users},
        {"dropbp.v1.JobService/GetJob", users},
        {"dropbp.v1.JobService/ListJobs", users},
        {"dropbp.v1.JobService/WatchJob", users},
        {"dropbp.v1.JobService/CancelJob", users},
        {"dropbp.v1.JobService/DeleteJob", users},
        {"dropbp.v1.JobService/PauseJob", users},
        {"dropbp.v1.JobService/ResumeJob", users},
        {"dropbp.v1.JobService/ListCheckpoints", users},
        {"dropbp.v1.JobService/ReadJobLogs", users},
        {"dropbp.v1.ArtifactService/UploadFile", users_and_workers},
        {"dropbp.v1.ArtifactService/DownloadFile", users_and_workers},
        {"dropbp.v1.ClusterService/ListWorkers", users},
        {"dropbp.v1.ClusterService/DrainWorker", admins_only},
        {"dropbp.v1.WorkerGatewayService/Session", workers},
        {"grpc.health.v1.Health/Check", anyone},
        {"grpc.health.v1.Health/Watch", anyone},
        {"grpc.reflection.v1.ServerReflection/ServerReflectionInfo", admins_only},
        {"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", admins_only},
    };
  }();
  return *table;
}

bool Contains(const Roles& roles, Role role) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

std::string Names(const Roles& roles) {
  std::vector<std::string_view> names;
  for (const Role role : roles) names.push_back(RoleName(role));
  names.push_back(RoleName(Role::kAdmin));
  return absl::StrJoin(names, ", ",
                       [](std::string* out, std::string_view name) { out->append(name); });
}

absl::Status Refuse(std::string_view method, Role role, const std::string& legal) {
  const std::string found = role == Role::kNone ? "a certificate without a role"
                                                : absl::StrCat("role ", AbslView(RoleName(role)));
  return WithReason(absl::PermissionDeniedError(
                        absl::StrCat(AbslView(method), ": found ", found, ", legal is ", legal)),
                    "ROLE_NOT_ALLOWED",
                    {{"method", std::string(method)},
                     {"role", std::string(RoleName(role))},
                     {"legal_roles", legal}});
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kNone:
      return "none";
    case Role::kUser:
      return "user";
    case Role::kWorker:
      return "worker";
    case Role::kAdmin:
      return "admin";
  }
  return "none";
}

Role RoleOf(const std::vector<std::string>& uris) {
  if (uris.size() != 1) return Role::kNone;
  const std::vector<std::string> parts = absl::StrSplit(uris[0], '/');
  // spiffe: // <trust domain> / dropbp / <role>
  if (parts.size() != 5 || parts[0] != "spiffe:" || !parts[1].empty() || parts[2].empty() ||
      parts[3] != "dropbp") {
    return Role::kNone;
  }
  for (const Role role : {Role::kUser, Role::kWorker, Role::kAdmin}) {
    if (parts[4] == RoleName(role)) return role;
  }
  return Role::kNone;
}

absl::Status CheckAccess(std::string_view method, Role role) {
  const auto row = Table().find(method);
  if (row == Table().end()) return Refuse(method, role, "no role");
  if (role == Role::kAdmin || Contains(row->second, role)) return absl::OkStatus();
  return Refuse(method, role, Names(row->second));
}

}  // namespace dropbp::server
