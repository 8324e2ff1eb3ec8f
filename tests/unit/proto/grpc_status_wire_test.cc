// A real server and client with default limits: the largest errors must fit the trailers.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "dropbp/v1/jobs_service.grpc.pb.h"
#include "proto/support/grpc_status.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

class FailingJobs : public v1::JobService::Service {
 public:
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job*) override {
    return ToGrpcStatus(error);
  }
  absl::Status error;
};

class GrpcStatusWireTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    stub_ = v1::JobService::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                        grpc::InsecureChannelCredentials()));
  }

  absl::Status Received(const absl::Status& error) {
    service_.error = error;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::Job job;
    return FromGrpcStatus(stub_->GetJob(&context, {}, &job));
  }

  FailingJobs service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::JobService::Stub> stub_;
};

TEST_F(GrpcStatusWireTest, BringsReasonAndViolationsToTheClient) {
  const absl::Status sent =
      InvalidFields({{"training.steps", "found -1"}, {"model", "found \"\""}});
  const absl::Status received = Received(sent);
  EXPECT_EQ(received, sent);  // payloads included
  EXPECT_EQ(ReasonOf(received), "INVALID_JOB");
  EXPECT_EQ(ViolationsOf(received).size(), 2u);
}

TEST_F(GrpcStatusWireTest, BringsTheLargestErrorsThrough) {
  std::vector<FieldViolation> violations(500, {"training.learning_rate", std::string(80, '\xff')});
  absl::Status received = Received(InvalidFields(violations));
  EXPECT_EQ(received.code(), absl::StatusCode::kInvalidArgument) << received;
  EXPECT_GT(ViolationsOf(received).size(), 30u);

  std::string accented;
  for (int i = 0; i < 5000; ++i) accented += "\xc3\xa9";
  received = Received(WithReason(absl::FailedPreconditionError(accented), "JOB_NOT_RUNNING"));
  EXPECT_EQ(received.code(), absl::StatusCode::kFailedPrecondition) << received;
  EXPECT_THAT(std::string(received.message()), HasSubstr("\xc3\xa9..."));
  EXPECT_EQ(ReasonOf(received), "JOB_NOT_RUNNING");
}

}  // namespace
}  // namespace dropbp
