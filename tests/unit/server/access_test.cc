// The table of who may call what.
#include "server/access/access.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "dropbp/v1/artifacts.pb.h"
#include "dropbp/v1/cluster_service.pb.h"
#include "dropbp/v1/jobs_service.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// The methods of the services that a coordinator serves.
std::vector<std::string> Methods(
    const std::vector<const google::protobuf::FileDescriptor*>& files) {
  std::vector<std::string> methods;
  for (const auto* file : files) {
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        methods.push_back(
            absl::StrCat(file->service(i)->full_name(), "/", file->service(i)->method(j)->name()));
      }
    }
  }
  return methods;
}

std::set<Role> Allowed(const std::string& method) {
  std::set<Role> roles;
  for (const Role role : {Role::kNone, Role::kUser, Role::kWorker, Role::kAdmin}) {
    if (CheckAccess(method, role).ok()) roles.insert(role);
  }
  return roles;
}

TEST(RoleTest, ComesFromTheOneUriOfTheCertificate) {
  EXPECT_EQ(RoleOf({"spiffe://example.org/dropbp/user"}), Role::kUser);
  EXPECT_EQ(RoleOf({"spiffe://cluster.local/dropbp/worker"}), Role::kWorker);
  EXPECT_EQ(RoleOf({"spiffe://a/dropbp/admin"}), Role::kAdmin);
}

TEST(RoleTest, AnyOtherNameGivesNone) {
  for (const char* uri :
       {"", "admin", "spiffe://a/dropbp/root", "spiffe://a/dropbp/admin/", "spiffe:///dropbp/admin",
        "https://a/dropbp/admin", "spiffe://a/b/dropbp/admin", "spiffe://a/other/admin",
        "spiffe://a/dropbp/Admin", "spiffe://a/dropbp/"}) {
    EXPECT_EQ(RoleOf({uri}), Role::kNone) << uri;
  }
  EXPECT_EQ(RoleOf({}), Role::kNone);
  EXPECT_EQ(RoleOf({"spiffe://a/dropbp/user", "spiffe://a/dropbp/admin"}), Role::kNone)
      << "which of them would count?";
}

TEST(AccessTest, EveryMethodOfEveryServiceIsInTheTable) {
  for (const std::string& method :
       Methods({v1::Job::descriptor()->file(), v1::CreateJobRequest::descriptor()->file(),
                v1::Artifact::descriptor()->file(), v1::Worker::descriptor()->file(),
                v1::SessionRequest::descriptor()->file()})) {
    EXPECT_TRUE(CheckAccess(method, Role::kAdmin).ok()) << method;
    EXPECT_FALSE(CheckAccess(method, Role::kNone).ok()) << method;
  }
}

TEST(AccessTest, UsersHaveJobsAndFilesAndSeeTheCluster) {
  const std::set<Role> users = {Role::kUser, Role::kAdmin};
  for (const std::string& method : Methods({v1::CreateJobRequest::descriptor()->file()})) {
    EXPECT_EQ(Allowed(method), users) << method;
  }
  EXPECT_EQ(Allowed("dropbp.v1.ClusterService/ListWorkers"), users);
  EXPECT_EQ(Allowed("dropbp.v1.ClusterService/DrainWorker"), std::set<Role>({Role::kAdmin}));
}

TEST(AccessTest, WorkersHaveTheirGatewayAndFiles) {
  EXPECT_EQ(Allowed("dropbp.v1.WorkerGatewayService/Session"),
            std::set<Role>({Role::kWorker, Role::kAdmin}));
  for (const std::string& method : Methods({v1::Artifact::descriptor()->file()})) {
    EXPECT_EQ(Allowed(method), std::set<Role>({Role::kUser, Role::kWorker, Role::kAdmin}))
        << method;
  }
}

TEST(AccessTest, HealthIsForAllAndReflectionForAdmins) {
  EXPECT_EQ(Allowed("grpc.health.v1.Health/Check").size(), 4u);
  EXPECT_EQ(Allowed("grpc.health.v1.Health/Watch").size(), 4u);
  EXPECT_EQ(Allowed("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
            std::set<Role>({Role::kAdmin}));
}

TEST(AccessTest, WhatIsNotInTheTableIsForNobody) {
  for (const char* method : {"", "dropbp.v1.JobService/Erase", "dropbp.v1.JobService/",
                             "dropbp.v1.TrainerLinkService/Connect", "other.Service/Call"}) {
    EXPECT_TRUE(Allowed(method).empty()) << method;
  }
}

TEST(AccessTest, ARefusalNamesMethodRoleAndLegalRoles) {
  const absl::Status status = CheckAccess("dropbp.v1.JobService/CreateJob", Role::kWorker);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReasonOf(status), "ROLE_NOT_ALLOWED");
  EXPECT_THAT(MetadataOf(status), ElementsAre(Pair("legal_roles", "user, admin"),
                                              Pair("method", "dropbp.v1.JobService/CreateJob"),
                                              Pair("role", "worker")));
  EXPECT_EQ(status.message(),
            "dropbp.v1.JobService/CreateJob: found role worker, legal is user, admin");
  EXPECT_THAT(std::string(CheckAccess("x/y", Role::kNone).message()),
              HasSubstr("found a certificate without a role, legal is no role"));
}

}  // namespace
}  // namespace dropbp::server
