// The services over a real connection: an in-process server on a free port.
#include <grpcpp/grpcpp.h>

#include <thread>

#include "core/base/files.h"
#include "proto/support/grpc_status.h"
#include "server/api/server.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ApiTest : public ClusterTest {
 protected:
  ApiTest() {
    agent_.Connect(*coordinator_);
    auto api = ApiServer::Start({.listen = "127.0.0.1:0", .reflection = true, .interceptor = {}},
                                *coordinator_, *artifacts_, logs_);
    EXPECT_TRUE(api.ok()) << api.status();
    api_ = *std::move(api);
    channel_ = grpc::CreateChannel(api_->address(), grpc::InsecureChannelCredentials());
    jobs_ = v1::JobService::NewStub(channel_);
    files_ = v1::ArtifactService::NewStub(channel_);
  }
  ~ApiTest() override {
    coordinator_->Shutdown();
    api_->Stop(absl::Seconds(1));
  }

  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request) {
    grpc::ClientContext context;
    v1::Job job;
    RETURN_IF_ERROR(FromGrpcStatus(jobs_->CreateJob(&context, request, &job)));
    return job;
  }

  absl::StatusOr<v1::PlanJobResponse> Plan(const v1::PlanJobRequest& request) {
    grpc::ClientContext context;
    v1::PlanJobResponse response;
    RETURN_IF_ERROR(FromGrpcStatus(jobs_->PlanJob(&context, request, &response)));
    return response;
  }

  absl::StatusOr<v1::Artifact> Upload(const v1::Artifact& header,
                                      const std::vector<std::string>& chunks) {
    grpc::ClientContext context;
    v1::Artifact stored;
    auto writer = files_->UploadFile(&context, &stored);
    v1::UploadFileRequest message;
    *message.mutable_header() = header;
    writer->Write(message);
    for (const std::string& chunk : chunks) {
      message.set_chunk(chunk);
      writer->Write(message);
    }
    writer->WritesDone();
    RETURN_IF_ERROR(FromGrpcStatus(writer->Finish()));
    return stored;
  }

  static v1::Artifact Header(const std::string& content) {
    v1::Artifact header;
    header.set_name("data.jsonl");
    header.set_sha256(Sha256Hex(content));
    header.set_size_bytes(static_cast<int64_t>(content.size()));
    return header;
  }

  TestAgent agent_{"a", 11, 2};
  std::unique_ptr<ApiServer> api_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::ArtifactService::Stub> files_;
};

TEST_F(ApiTest, ErrorsCarryAllViolationsAndAReason) {
  v1::CreateJobRequest request = Request("job");
  request.mutable_spec()->clear_model();
  request.mutable_spec()->mutable_lora()->set_rank(0);
  const absl::Status status = Create(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), "INVALID_JOB");
  std::vector<std::string> fields;
  for (const auto& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("model", "lora.rank"));
}

TEST_F(ApiTest, CreateGetAndCancelAJob) {
  const v1::Job created = Create(Request("job")).value();
  EXPECT_EQ(created.state(), v1::Job::QUEUED);
  EXPECT_EQ(created.spec().training().learning_rate(), 2e-4);
  grpc::ClientContext get;
  v1::GetJobRequest name;
  name.set_job_id("job");
  v1::Job job;
  ASSERT_TRUE(jobs_->GetJob(&get, name, &job).ok());
  EXPECT_EQ(job.state(), v1::Job::PREPARING);
  grpc::ClientContext cancel;
  v1::CancelJobRequest request;
  request.set_job_id("job");
  ASSERT_TRUE(jobs_->CancelJob(&cancel, request, &job).ok());
  EXPECT_EQ(job.state(), v1::Job::CANCELLED);
  grpc::ClientContext unknown;
  name.set_job_id("nothing");
  const absl::Status status = FromGrpcStatus(jobs_->GetJob(&unknown, name, &job));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), "JOB_NOT_FOUND");
}

TEST_F(ApiTest, TheSameRequestIdGetsTheSameAnswer) {
  v1::CreateJobRequest request = Request("");
  request.set_request_id("once");
  const v1::Job first = Create(request).value();
  EXPECT_EQ(Create(request)->job_id(), first.job_id());
  request.mutable_spec()->set_priority(1);
  EXPECT_EQ(Create(request).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(ApiTest, ListsByPagesWithOpaqueTokens) {
  for (const char* id : {"one", "two", "three"}) ASSERT_TRUE(Create(Request(id)).ok());
  v1::ListJobsRequest request;
  request.set_page_size(2);
  v1::ListJobsResponse page;
  grpc::ClientContext first;
  ASSERT_TRUE(jobs_->ListJobs(&first, request, &page).ok());
  ASSERT_THAT(page.jobs(), SizeIs(2));
  EXPECT_EQ(page.jobs(0).job_id(), "three");
  request.set_page_token(page.next_page_token());
  grpc::ClientContext second;
  ASSERT_TRUE(jobs_->ListJobs(&second, request, &page).ok());
  ASSERT_THAT(page.jobs(), SizeIs(1));
  EXPECT_EQ(page.jobs(0).job_id(), "one");
  EXPECT_THAT(page.next_page_token(), IsEmpty());
  // A token belongs to its filter.
  request.add_states(v1::Job::FAILED);
  grpc::ClientContext other;
  const absl::Status status = FromGrpcStatus(jobs_->ListJobs(&other, request, &page));
  EXPECT_EQ(ReasonOf(status), "INVALID_PAGE_TOKEN");
}

TEST_F(ApiTest, AWatchResumesAfterAnEventAndEndsWithTheJob) {
  SubmitAndRun("job", agent_);
  v1::WatchJobRequest request;
  request.set_job_id("job");
  request.set_after_sequence(2);
  grpc::ClientContext context;
  auto reader = jobs_->WatchJob(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.sequence(), 3);
  while (event.state() != v1::Job::RUNNING) ASSERT_TRUE(reader->Read(&event));
  ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, 0).ok());
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.type(), v1::JobEvent::STEP);
  EXPECT_EQ(event.progress().step(), 1);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, rank).ok());
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.state(), v1::Job::SUCCEEDED);
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ApiTest, AWatcherThatGoesAwayIsForgotten) {
  SubmitAndRun("job", agent_);
  v1::WatchJobRequest request;
  request.set_job_id("job");
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    auto reader = jobs_->WatchJob(&context, request);
    v1::JobEvent event;
    ASSERT_TRUE(reader->Read(&event));
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
    ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, i).ok());
  }
}

TEST_F(ApiTest, UploadsAndDownloadsByHash) {
  const std::string content(3 << 20, 'x');
  const std::string half = content.substr(0, 1 << 20);
  EXPECT_EQ(Upload(Header(content), {half, half, half})->sha256(), Sha256Hex(content));
  EXPECT_TRUE(Upload(Header(content), {half, half, half}).ok());  // again
  grpc::ClientContext context;
  v1::DownloadFileRequest request;
  request.set_sha256(Sha256Hex(content));
  auto reader = files_->DownloadFile(&context, request);
  std::string received;
  for (v1::DownloadFileResponse part; reader->Read(&part);) {
    EXPECT_LE(part.chunk().size(), size_t{1} << 20);
    received += part.chunk();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_TRUE(received == content);
}

TEST_F(ApiTest, RefusesBadUploads) {
  v1::Artifact wrong = Header("abc");
  EXPECT_EQ(ReasonOf(Upload(wrong, {"abd"}).status()), "HASH_MISMATCH");
  EXPECT_EQ(ReasonOf(Upload(wrong, {"ab"}).status()), "SIZE_MISMATCH");
  EXPECT_EQ(ReasonOf(Upload(wrong, {"abc", "d"}).status()), "SIZE_MISMATCH");
  wrong.set_sha256("short");
  EXPECT_EQ(ReasonOf(Upload(wrong, {"abc"}).status()), "INVALID_ARTIFACT");
  EXPECT_FALSE(artifacts_->Has(Sha256Hex("abc")));
  grpc::ClientContext context;
  v1::DownloadFileRequest request;
  request.set_sha256(Sha256Hex("abc"));
  v1::DownloadFileResponse part;
  auto reader = files_->DownloadFile(&context, request);
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ApiTest, ReadsLogsByRankAndFollowsToTheEnd) {
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "a\nb\n").ok());
  ASSERT_TRUE(logs_.Append({"job", 1, 1}, "c\n").ok());
  v1::ReadJobLogsRequest request;
  request.set_job_id("job");
  request.set_rank(0);
  request.set_tail_lines(1);
  request.set_follow(true);
  grpc::ClientContext context;
  auto reader = jobs_->ReadJobLogs(&context, request);
  v1::ReadJobLogsResponse part;
  ASSERT_TRUE(reader->Read(&part));
  EXPECT_EQ(part.text(), "b\n");
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "later\n").ok());
  ASSERT_TRUE(reader->Read(&part));
  EXPECT_EQ(part.text(), "later\n");
  EXPECT_EQ(part.rank(), 0);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, rank).ok());
  EXPECT_FALSE(reader->Read(&part));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(ApiTest, AnAgentsSessionRunsOverTheStream) {
  auto gateway = v1::WorkerGatewayService::NewStub(channel_);
  auto cluster = v1::ClusterService::NewStub(channel_);
  grpc::ClientContext context;
  auto stream = gateway->Session(&context);
  v1::SessionRequest hello;
  hello.mutable_hello()->set_worker_id("b");
  hello.mutable_hello()->set_incarnation(5);
  ASSERT_TRUE(stream->Write(hello));
  v1::SessionResponse frame;
  ASSERT_TRUE(stream->Read(&frame));
  EXPECT_EQ(frame.welcome().lease_seconds(), 15);
  v1::ListWorkersResponse workers;
  grpc::ClientContext list;
  ASSERT_TRUE(cluster->ListWorkers(&list, {}, &workers).ok());
  EXPECT_THAT(workers.workers(), SizeIs(2));
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&frame));
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ApiTest, ASessionWithoutHelloIsRefused) {
  auto gateway = v1::WorkerGatewayService::NewStub(channel_);
  grpc::ClientContext context;
  auto stream = gateway->Session(&context);
  v1::SessionRequest heartbeat;
  heartbeat.mutable_heartbeat();
  ASSERT_TRUE(stream->Write(heartbeat));
  v1::SessionResponse frame;
  EXPECT_FALSE(stream->Read(&frame));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ApiTest, RefusesAnAddressThatIsTaken) {
  const auto second =
      ApiServer::Start({.listen = api_->address(), .reflection = false, .interceptor = {}},
                       *coordinator_, *artifacts_, logs_);
  EXPECT_TRUE(absl::IsUnavailable(second.status())) << second.status();
}

TEST_F(ApiTest, PlansAJobBeforeAnythingIsUploaded) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = Request("").spec();
  request.mutable_spec()->mutable_dataset()->clear_artifact();
  const v1::PlanJobResponse plan = Plan(request).value();
  EXPECT_EQ(plan.total_steps(), 10);
  EXPECT_EQ(plan.plan().allocation(), "uniform");
  EXPECT_NEAR(plan.plan().planned_drop_rate(), 0.5, 1e-9);
  EXPECT_GT(plan.plan().speed_limit(), 1);
  EXPECT_THAT(plan.plan().units(), SizeIs(4));
  EXPECT_THAT(plan.plan().stages(), SizeIs(2));
  EXPECT_EQ(plan.traffic_factor(), 1) << "with 8 rows every unit lives in every step";
  EXPECT_EQ(plan.dtype(), "fp32") << "the worker has CPU slots";
  EXPECT_EQ(plan.memory_without_dropping().activation_bytes(),
            2 * plan.memory().activation_bytes());
  EXPECT_GT(plan.memory_without_dropping().peak_bytes(), plan.memory().peak_bytes());
  EXPECT_EQ(plan.dense_gradient_bytes(), 4 * plan.trainable_parameters());
  EXPECT_THAT(coordinator_->ListJobs({})->jobs, IsEmpty());
}

TEST_F(ApiTest, PlansTrafficOfMasksThatRanksShare) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = Request("").spec();
  request.mutable_spec()->mutable_dropbp()->set_masks(v1::DropbpSpec::SINGLE);
  EXPECT_NEAR(Plan(request)->traffic_factor(), 0.5, 1e-9);
}

TEST_F(ApiTest, PlansTheStageThatTakesMostMemoryAndTheMeanOfTheRest) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = Request("").spec();
  request.mutable_spec()->mutable_training()->set_steps(100);
  request.mutable_spec()->mutable_dropbp()->set_masks(v1::DropbpSpec::SINGLE);
  const v1::PlanJobResponse constant = Plan(request).value();
  request.mutable_spec()->mutable_dropbp()->set_schedule(v1::DropbpSpec::ANNEAL);
  const v1::PlanJobResponse anneal = Plan(request).value();
  EXPECT_EQ(anneal.memory().activation_bytes(), anneal.memory_without_dropping().activation_bytes())
      << "the last stage drops nothing";
  // 80 steps at .5, then 20 over which it falls to 0; rounding is coarse with two blocks.
  EXPECT_GT(anneal.traffic_factor(), constant.traffic_factor() + 0.03);
  EXPECT_LT(anneal.traffic_factor(), constant.traffic_factor() + 0.2);
  EXPECT_LT(anneal.plan().speed_limit(), constant.plan().speed_limit());
  EXPECT_GT(anneal.plan().speed_limit(), 1);
}

TEST_F(ApiTest, CountsTheStepsOfEpochsFromTheSamples) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = Request("").spec();
  request.mutable_spec()->mutable_training()->set_steps(0);
  EXPECT_EQ(Plan(request)->total_steps(), 0);
  EXPECT_EQ(Plan(request)->plan().stages_size(), 0);
  request.set_samples(81);
  EXPECT_EQ(Plan(request)->total_steps(), 11);
  request.mutable_spec()->mutable_dataset()->set_packing(true);
  EXPECT_EQ(Plan(request)->total_steps(), 0) << "rows are not known yet";
}

TEST_F(ApiTest, RefusesToPlanWhatNoWorkerHasOrNoRuleAllows) {
  v1::PlanJobRequest request;
  *request.mutable_spec() = Request("").spec();
  request.mutable_spec()->set_model("large");
  absl::Status status = Plan(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), "MODEL_NOT_FOUND");
  EXPECT_THAT(std::string(status.message()),
              ::testing::HasSubstr("found 'large', the connected workers have tiny"));
  request.mutable_spec()->mutable_dropbp()->set_drop_rate(1);
  request.set_samples(int64_t{1} << 60);
  EXPECT_EQ(ReasonOf(Plan(request).status()), "INVALID_JOB");
  request.set_samples(-1);
  status = Plan(request).status();
  EXPECT_EQ(ReasonOf(status), "INVALID_JOB");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("dropbp.drop_rate"));
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("samples"));
}

}  // namespace
}  // namespace dropbp::server
