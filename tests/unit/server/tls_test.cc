// The coordinator's services over real TLS on loopback: who gets in, and to what.
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <future>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/files.h"
#include "proto/support/grpc_status.h"
#include "proto/support/tls_credentials.h"
#include "server/api/server.h"
#include "server/metrics/coordinator_metrics.h"
#include "tests/support/certificates.h"
#include "tests/support/poll_until.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

namespace fs = std::filesystem;
using ::dropbp::testing::CertificateOf;
using ::dropbp::testing::MakeCertificates;
using ::dropbp::testing::PollUntil;
using ::dropbp::testing::ReplaceCertificate;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr char kListWorkers[] = "dropbp.v1.ClusterService/ListWorkers";

// Two authorities that know nothing of each other, made once.
struct Authorities {
  Authorities() {
    EXPECT_TRUE(MakeCertificates(ours()).ok());
    EXPECT_TRUE(MakeCertificates(foreign()).ok());
  }
  fs::path ours() const { return fs::path(dir.path()) / "ours"; }
  fs::path foreign() const { return fs::path(dir.path()) / "foreign"; }
  TempDir dir;
};

class TlsTest : public ClusterTest {
 protected:
  static void SetUpTestSuite() { authorities_ = new Authorities; }
  static void TearDownTestSuite() {
    delete authorities_;
    authorities_ = nullptr;
  }

  TlsTest() : live_(fs::path(dir_.path()) / "live") {
    ReplaceCertificate(ours(), live_, "coordinator");
    auto api = ApiServer::Start({.listen = "127.0.0.1:0",
                                 .tls = CertificateOf(live_, "coordinator"),
                                 .reflection = true,
                                 .interceptor = {}},
                                *coordinator_, *artifacts_, logs_);
    EXPECT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
  }
  ~TlsTest() override {
    coordinator_->Shutdown();
    api_->Stop(absl::Seconds(1));
  }

  static fs::path ours() { return authorities_->ours(); }
  static fs::path foreign() { return authorities_->foreign(); }

  // A connection of its own.
  std::shared_ptr<grpc::Channel> Connect(std::shared_ptr<grpc::ChannelCredentials> credentials,
                                         const std::string& server_name = "") {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    if (!server_name.empty()) arguments.SetSslTargetNameOverride(server_name);
    return grpc::CreateCustomChannel(api_->address(), credentials, arguments);
  }
  std::shared_ptr<grpc::Channel> Connect(const fs::path& authority, const std::string& holder) {
    return Connect(MakeChannelCredentials(CertificateOf(authority, holder)));
  }

  // One empty request to any method.
  static absl::Status Call(const std::shared_ptr<grpc::Channel>& channel,
                           const std::string& method) {
    grpc::GenericStub stub(channel);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    const grpc::Slice nothing;
    grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    std::promise<grpc::Status> status;
    stub.UnaryCall(&context, "/" + method, {}, &request, &response,
                   [&](grpc::Status ended) { status.set_value(std::move(ended)); });
    return FromGrpcStatus(status.get_future().get());
  }

  // All methods of dropbp.v1 that the server has, and those of gRPC's own services that answer an
  // empty request.
  static std::vector<std::string> Methods() {
    std::vector<std::string> methods = {
        "grpc.health.v1.Health/Check",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    for (const char* name :
         {"JobService", "ArtifactService", "ClusterService", "WorkerGatewayService"}) {
      const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
          absl::StrCat("dropbp.v1.", name));
      for (int i = 0; i < service->method_count(); ++i) {
        methods.push_back(absl::StrCat(service->full_name(), "/", service->method(i)->name()));
      }
    }
    return methods;
  }

  static inline Authorities* authorities_ = nullptr;
  const fs::path live_;  // what the server reads
  std::unique_ptr<ApiServer> api_;
};

TEST_F(TlsTest, RefusesPlainTextAndClientsWithoutACertificate) {
  EXPECT_TRUE(absl::IsUnavailable(Call(Connect(grpc::InsecureChannelCredentials()), kListWorkers)));
  grpc::SslCredentialsOptions no_certificate;
  no_certificate.pem_root_certs = ReadFile(ours() / "ca.pem", 1 << 20).value();
  EXPECT_TRUE(
      absl::IsUnavailable(Call(Connect(grpc::SslCredentials(no_certificate)), kListWorkers)));
}

TEST_F(TlsTest, RefusesACertificateOfAnotherAuthority) {
  TlsFiles stranger = CertificateOf(foreign(), "admin");
  EXPECT_TRUE(absl::IsUnavailable(Call(Connect(MakeChannelCredentials(stranger)), kListWorkers)))
      << "the client does not trust this server";
  stranger.ca = ours() / "ca.pem";
  EXPECT_TRUE(absl::IsUnavailable(Call(Connect(MakeChannelCredentials(stranger)), kListWorkers)))
      << "the server does not trust this client";
}

TEST_F(TlsTest, AClientChecksTheServersName) {
  const auto credentials = MakeChannelCredentials(CertificateOf(ours(), "user"));
  EXPECT_THAT(std::string(Call(Connect(credentials, "elsewhere.example"), kListWorkers).message()),
              HasSubstr("Hostname Verification"));
  EXPECT_TRUE(Call(Connect(credentials, "localhost"), kListWorkers).ok());
}

TEST_F(TlsTest, EachRoleReachesWhatTheTableAllowsAndNothingElse) {
  const std::vector<std::pair<std::string, Role>> holders = {
      {"user", Role::kUser}, {"worker", Role::kWorker}, {"admin", Role::kAdmin}};
  for (const auto& [holder, role] : holders) {
    const auto channel = Connect(ours(), holder);
    int refused = 0;
    for (const std::string& method : Methods()) {
      const absl::Status status = Call(channel, method);
      EXPECT_FALSE(absl::IsUnavailable(status)) << status;
      EXPECT_EQ(absl::IsPermissionDenied(status), !CheckAccess(method, role).ok())
          << holder << " " << method << ": " << status;
      refused += absl::IsPermissionDenied(status);
    }
    EXPECT_EQ(refused > 0, role != Role::kAdmin) << holder;
  }
}

TEST_F(TlsTest, ARefusalSaysWhichMethodWhichRoleAndWhichWouldDo) {
  for (const std::string& method : Methods()) {
    if (method.rfind("dropbp.v1.", 0) != 0 || CheckAccess(method, Role::kWorker).ok()) continue;
    const absl::Status status = Call(Connect(ours(), "worker"), method);
    EXPECT_EQ(ReasonOf(status), "ROLE_NOT_ALLOWED") << method;
    EXPECT_EQ(MetadataOf(status)["method"], method);
    EXPECT_EQ(MetadataOf(status)["role"], "worker");
    EXPECT_THAT(MetadataOf(status)["legal_roles"], HasSubstr("admin"));
  }
  EXPECT_THAT(coordinator_->ListJobs({})->jobs, IsEmpty());
}

TEST_F(TlsTest, ACertificateWithoutARoleReachesHealthOnly) {
  const fs::path folder = fs::path(dir_.path()) / "other-names";
  fs::create_directories(folder);
  for (const char* file : {"ca.pem", "ca.key"}) fs::copy_file(ours() / file, folder / file);
  const std::string uri = "spiffe://here/other/user";
  const std::string command = absl::StrCat(
      "cd '", folder.string(), "' && openssl req -new -newkey rsa:2048 -nodes -subj /CN=x ",
      "-keyout x.key -out x.csr 2>/dev/null && echo subjectAltName=URI:", uri, " > x.ext && ",
      "openssl x509 -req -in x.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 2 -extfile x.ext ",
      "-out x.pem 2>/dev/null");
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto channel = Connect(folder, "x");
  EXPECT_TRUE(Call(channel, "grpc.health.v1.Health/Check").ok());
  for (const std::string& method : Methods()) {
    if (method == "grpc.health.v1.Health/Check") continue;
    EXPECT_TRUE(absl::IsPermissionDenied(Call(channel, method))) << method;
  }
}

TEST_F(TlsTest, AMethodThatIsNotThereIsRefusedAsWell) {
  EXPECT_TRUE(absl::IsPermissionDenied(Call(Connect(ours(), "admin"), "other.Service/Call")));
}

TEST_F(TlsTest, NewConnectionsFollowNewFilesOfTheServerAndOldOnesStay) {
  const auto old_connection = Connect(ours(), "user");
  ASSERT_TRUE(Call(old_connection, kListWorkers).ok());
  ASSERT_TRUE(absl::IsUnavailable(Call(Connect(foreign(), "user"), kListWorkers)));
  ReplaceCertificate(foreign(), live_, "coordinator");
  EXPECT_TRUE(
      PollUntil(kPatience, [&] { return Call(Connect(foreign(), "user"), kListWorkers).ok(); }));
  EXPECT_TRUE(absl::IsUnavailable(Call(Connect(ours(), "user"), kListWorkers)));
  EXPECT_TRUE(Call(old_connection, kListWorkers).ok());
}

TEST_F(TlsTest, TwoAuthoritiesAreTrustedWhileOneReplacesTheOther) {
  const std::string both = ReadFile(ours() / "ca.pem", 1 << 20).value() +
                           ReadFile(foreign() / "ca.pem", 1 << 20).value();
  ASSERT_TRUE(WriteFileAtomically(live_ / "ca.pem", both).ok());
  TlsFiles successor = CertificateOf(foreign(), "user");
  successor.ca = ours() / "ca.pem";
  EXPECT_TRUE(PollUntil(kPatience, [&] {
    return Call(Connect(MakeChannelCredentials(successor)), kListWorkers).ok();
  }));
  EXPECT_TRUE(Call(Connect(ours(), "user"), kListWorkers).ok());
}

TEST_F(TlsTest, NewConnectionsFollowNewFilesOfTheClient) {
  const fs::path mine = fs::path(dir_.path()) / "mine";
  ReplaceCertificate(foreign(), mine, "user");
  const auto credentials = MakeChannelCredentials(CertificateOf(mine, "user"));
  ASSERT_TRUE(absl::IsUnavailable(Call(Connect(credentials), kListWorkers)));
  ReplaceCertificate(ours(), mine, "user");
  EXPECT_TRUE(PollUntil(kPatience, [&] { return Call(Connect(credentials), kListWorkers).ok(); }));
}

TEST_F(TlsTest, TheEndOfTheServersCertificateIsAMetricWhileThereIsOne) {
  const fs::path file = live_ / "coordinator.pem";
  const EventMetrics events;
  const CoordinatorMetrics metrics(*coordinator_, events, dir_.path(), file);
  const auto end = [&]() -> std::optional<double> {
    for (const prometheus::MetricFamily& family : metrics.Collect()) {
      if (family.name != "dropbp_certificate_not_after_timestamp_seconds") continue;
      if (!family.metric.empty()) return family.metric[0].gauge.value;
    }
    return std::nullopt;
  };
  ASSERT_TRUE(end().has_value());
  EXPECT_EQ(*end(), static_cast<double>(absl::ToUnixSeconds(CertificateEnd(file).value())));
  EXPECT_NEAR(*end(), static_cast<double>(absl::ToUnixSeconds(absl::Now() + absl::Hours(90 * 24))),
              3600);
  fs::remove(file);
  EXPECT_FALSE(end().has_value());
}

}  // namespace
}  // namespace dropbp::server
