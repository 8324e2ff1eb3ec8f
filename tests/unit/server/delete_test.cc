// Jobs that people delete, and the files that go with them.
#include "core/base/files.h"
#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class DeleteTest : public ClusterTest {
 protected:
  void SetUp() override { a_.Connect(*coordinator_); }

  v1::Artifact Result(const std::string& content) {
    v1::Artifact file;
    file.set_name("adapter_model.safetensors");
    file.set_sha256(artifacts_->Put(content).value());
    return file;
  }
  // A job with a checkpoint, a log and one result.
  void Succeed(const std::string& job_id, const std::string& result) {
    SubmitAndRun(job_id, a_);
    for (const int rank : {0, 1})
      HandOver(a_, job_id, 1, rank, 3, absl::StrCat(job_id, ", part ", rank));
    ASSERT_TRUE(logs_.Append({job_id, 1, 0}, "step 1\n").ok());
    ASSERT_TRUE(a_.Finished(*coordinator_, job_id, 1, 1).ok());
    ASSERT_TRUE(a_.Finished(*coordinator_, job_id, 1, 0, {Result(result)}).ok());
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, job_id, 1, rank, 0, 0).ok());
    ASSERT_EQ(State(job_id), v1::Job::SUCCEEDED);
  }
  bool Has(const std::string& content) { return artifacts_->Has(Sha256Hex(content)); }

  TestAgent a_{"a", 11, 2};
};

TEST_F(DeleteTest, NothingOfAJobIsLeft) {
  Succeed("job", "the adapter");
  const std::string manifest = coordinator_->ListCheckpoints("job").value()[0].manifest().sha256();
  const std::string data = Get("job").spec().dataset().artifact();
  ASSERT_TRUE(artifacts_->Has(manifest) && artifacts_->Has(data));
  const auto deleted = coordinator_->DeleteJob("job");
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->state(), v1::Job::SUCCEEDED);
  for (int life = 0; life < 2; ++life) {
    EXPECT_TRUE(absl::IsNotFound(coordinator_->GetJob("job").status()));
    EXPECT_THAT(coordinator_->ListJobs({})->jobs, IsEmpty());
    EXPECT_FALSE(Has("the adapter"));
    EXPECT_FALSE(Has("job, part 0") || Has("job, part 1") || artifacts_->Has(manifest));
    EXPECT_FALSE(artifacts_->Has(data));
    EXPECT_THAT(logs_.List("job"), IsEmpty());
    Crash();
  }
  EXPECT_EQ(ReasonOf(coordinator_->DeleteJob("job").status()), "JOB_NOT_FOUND");
}

TEST_F(DeleteTest, FilesThatOtherJobsHaveTooStay) {
  Succeed("first", "the same adapter");
  Succeed("second", "the same adapter");
  const std::string data = Get("first").spec().dataset().artifact();
  ASSERT_TRUE(coordinator_->DeleteJob("first").ok());
  EXPECT_TRUE(Has("the same adapter"));
  EXPECT_TRUE(artifacts_->Has(data));
  EXPECT_FALSE(Has("first, part 0"));
  EXPECT_TRUE(Has("second, part 0"));
  EXPECT_THAT(coordinator_->ListCheckpoints("second").value(), SizeIs(1));
  ASSERT_TRUE(coordinator_->DeleteJob("second").ok());
  EXPECT_FALSE(Has("the same adapter"));
  EXPECT_FALSE(artifacts_->Has(data));
}

TEST_F(DeleteTest, ItsNameIsFreeAgainAndARepeatedRequestStillGetsItsAnswer) {
  v1::CreateJobRequest request = Request("job");
  request.set_request_id("once");
  ASSERT_TRUE(coordinator_->CreateJob(request).ok());
  ASSERT_TRUE(coordinator_->CancelJob("job").ok());
  ASSERT_TRUE(coordinator_->DeleteJob("job").ok());
  EXPECT_TRUE(coordinator_->CreateJob(request).ok());
  EXPECT_TRUE(absl::IsNotFound(coordinator_->GetJob("job").status())) << "it is not run twice";
  request = Request("job");
  request.set_request_id("another");
  EXPECT_TRUE(coordinator_->CreateJob(request).ok());
  EXPECT_THAT(Events("job"), Not(IsEmpty()));
  EXPECT_EQ(Events("job")[0].sequence(), 1) << "of a history of its own";
}

TEST_F(DeleteTest, AJobThatHasNotEndedStays) {
  SubmitAndRun("job", a_);
  const absl::Status running = coordinator_->DeleteJob("job").status();
  EXPECT_EQ(ReasonOf(running), "JOB_NOT_ENDED");
  EXPECT_THAT(std::string(running.message()), HasSubstr("is RUNNING"));
  ASSERT_TRUE(coordinator_->CancelJob("job").ok());
  EXPECT_EQ(ReasonOf(coordinator_->DeleteJob("job").status()), "JOB_NOT_ENDED")
      << "it is CANCELLING";
  EXPECT_EQ(State("job"), v1::Job::CANCELLING);
}

TEST_F(DeleteTest, WhatAnotherJobBeginsFromStaysUntilThatHasEnded) {
  Succeed("first", "the adapter");
  v1::CreateJobRequest request = Request("second");
  request.mutable_spec()->set_init_from("first");
  ASSERT_TRUE(coordinator_->CreateJob(request).ok());
  const absl::Status in_use = coordinator_->DeleteJob("first").status();
  EXPECT_EQ(ReasonOf(in_use), "JOB_IN_USE");
  EXPECT_THAT(std::string(in_use.message()), HasSubstr("job 'second' begins from"));
  EXPECT_TRUE(Has("the adapter"));
  ASSERT_TRUE(coordinator_->CancelJob("second").ok());
  ASSERT_EQ(State("second"), v1::Job::CANCELLED);
  EXPECT_TRUE(coordinator_->DeleteJob("first").ok());
}

TEST_F(DeleteTest, ACheckpointThatAnotherJobBeginsFromIsLeftToIt) {
  Succeed("first", "the adapter");
  v1::CreateJobRequest request = Request("second");
  request.mutable_spec()->set_init_from("first@3");
  ASSERT_TRUE(coordinator_->CreateJob(request).ok());
  ASSERT_TRUE(coordinator_->DeleteJob("first").ok());
  EXPECT_TRUE(Has("first, part 0") && Has("first, part 1"));
  ASSERT_TRUE(coordinator_->CancelJob("second").ok());
  EXPECT_FALSE(Has("first, part 0") || Has("first, part 1")) << "they go with its last use";
}

}  // namespace
}  // namespace dropbp::server
