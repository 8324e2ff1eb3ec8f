#include "server/metrics/rpc_metrics.h"

#include <google/protobuf/empty.pb.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <prometheus/text_serializer.h>

#include "server/api/server.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class RpcMetricsTest : public ClusterTest {
 protected:
  RpcMetricsTest() {
    auto api = ApiServer::Start(
        {.listen = "127.0.0.1:0", .reflection = false, .interceptor = MakeRpcMetrics(registry_)},
        *coordinator_, *artifacts_, logs_);
    EXPECT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
    channel_ = grpc::CreateChannel(api_->address(), grpc::InsecureChannelCredentials());
  }
  ~RpcMetricsTest() override {
    coordinator_->Shutdown();
    api_->Stop(absl::Seconds(1));
  }

  grpc::StatusCode Call(const char* method) {
    grpc::ClientContext context;
    const google::protobuf::Empty request;
    google::protobuf::Empty response;
    return grpc::internal::BlockingUnaryCall(
               channel_.get(),
               grpc::internal::RpcMethod(method, grpc::internal::RpcMethod::NORMAL_RPC), &context,
               request, &response)
        .error_code();
  }
  std::string Scrape() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

  prometheus::Registry registry_;
  std::unique_ptr<ApiServer> api_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(RpcMetricsTest, CountCallsByMethodAndCode) {
  EXPECT_EQ(Call("/dropbp.v1.JobService/ListJobs"), grpc::StatusCode::OK);
  EXPECT_EQ(Call("/dropbp.v1.JobService/GetJob"), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Call("/grpc.health.v1.Health/Check"), grpc::StatusCode::OK);
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("method=\"dropbp.v1.JobService/ListJobs\""));
  EXPECT_THAT(text, HasSubstr("code=\"NOT_FOUND\""));
  EXPECT_THAT(text, HasSubstr("method=\"grpc.health.v1.Health/Check\""));
  EXPECT_THAT(
      text, HasSubstr("dropbp_rpc_duration_seconds_count{method=\"dropbp.v1.JobService/GetJob\"}"));
}

TEST_F(RpcMetricsTest, BeginAtZeroSoThatARateSeesTheFirstCall) {
  const std::string text = Scrape();
  EXPECT_THAT(text,
              HasSubstr("dropbp_rpc_total{code=\"OK\",method=\"dropbp.v1.JobService/GetJob\"} 0"));
  EXPECT_THAT(text,
              HasSubstr("dropbp_rpc_duration_seconds_count{method=\"dropbp.v1.WorkerGatewayService/"
                        "Session\"} 0"));
}

TEST_F(RpcMetricsTest, CallersCannotMakeSeries) {
  EXPECT_EQ(Call("/made.up.Service/One"), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(Call("/made.up.Service/Two"), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(Scrape(), Not(HasSubstr("made.up")));
}

}  // namespace
}  // namespace dropbp::server
