// Jobs that begin from the result of an earlier one, as the coordinator sees them.
#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class InitFromTest : public ClusterTest {
 protected:
  void SetUp() override { a_.Connect(*coordinator_); }

  // A job that has left an adapter of one file.
  void Succeed(const std::string& job_id) {
    SubmitAndRun(job_id, a_);
    ASSERT_TRUE(a_.Finished(*coordinator_, job_id, 1, 1).ok());
    ASSERT_TRUE(a_.Finished(*coordinator_, job_id, 1, 0, {Adapter()}).ok());
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, job_id, 1, rank, 0, 0).ok());
    ASSERT_EQ(State(job_id), v1::Job::SUCCEEDED);
  }

  v1::Artifact Adapter() {
    v1::Artifact file;
    file.set_name("adapter_model.safetensors");
    file.set_sha256(artifacts_->Put("the adapter").value());
    return file;
  }

  v1::CreateJobRequest From(const std::string& earlier) {
    v1::CreateJobRequest request = Request("second");
    request.mutable_spec()->set_init_from(earlier);
    return request;
  }

  // The only violation; empty if there is none or there are several.
  FieldViolation Refusal(const v1::CreateJobRequest& request) {
    const auto violations = ViolationsOf(coordinator_->CreateJob(request).status());
    EXPECT_THAT(violations, SizeIs(1));
    return violations.size() == 1 ? violations[0] : FieldViolation();
  }

  std::vector<v1::PrepareJob> Preparations() {
    std::vector<v1::PrepareJob> orders;
    for (const auto& frame : a_.Frames([](const auto& f) { return f.has_prepare_job(); }))
      orders.push_back(frame.prepare_job());
    return orders;
  }

  TestAgent a_{"a", 11, 2};
};

TEST_F(InitFromTest, TheFilesOfTheEarlierJobGoToTheCheckAndToTheRanks) {
  Succeed("first");
  ASSERT_TRUE(coordinator_->CreateJob(From("first")).ok());
  ASSERT_THAT(Preparations(), SizeIs(2));
  EXPECT_THAT(Preparations()[0].init_files(), IsEmpty());
  ASSERT_THAT(Preparations()[1].init_files(), SizeIs(1));
  EXPECT_EQ(Preparations()[1].init_files(0).sha256(), Adapter().sha256());
  ASSERT_TRUE(a_.Prepared(*coordinator_, "second").ok());
  const v1::StartRanks start = a_.Starts().back();
  EXPECT_EQ(start.job_id(), "second");
  ASSERT_THAT(start.init_files(), SizeIs(1));
  EXPECT_EQ(start.init_files(0).name(), "adapter_model.safetensors");
}

TEST_F(InitFromTest, ACheckThatIsAskedForAgainHasTheFilesToo) {
  Succeed("first");
  ASSERT_TRUE(coordinator_->CreateJob(From("first")).ok());
  a_.Connect(*coordinator_);
  ASSERT_THAT(Preparations(), SizeIs(1)) << "of the new stream";
  EXPECT_EQ(Preparations()[0].job_id(), "second");
  EXPECT_THAT(Preparations()[0].init_files(), SizeIs(1));
}

TEST_F(InitFromTest, AnAttemptThatGoesOnFromACheckpointDoesNotBeginAgain) {
  Succeed("first");
  ASSERT_TRUE(coordinator_->CreateJob(From("first")).ok());
  ASSERT_TRUE(a_.Prepared(*coordinator_, "second").ok());
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "second", 1, rank).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "second", 1, 1, 9).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "second", 1, 0, 0, 1).ok());
  EXPECT_THAT(a_.Starts().back().init_files(), SizeIs(1)) << "nothing was saved";
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "second", 2, rank).ok());
  TrainAndSave(a_, "second", 2, 0, 2);
  ASSERT_TRUE(a_.Exited(*coordinator_, "second", 2, 1, 9).ok());
  ASSERT_TRUE(a_.Exited(*coordinator_, "second", 2, 0, 0, 1).ok());
  EXPECT_EQ(a_.Starts().back().checkpoint().step(), 2);
  EXPECT_THAT(a_.Starts().back().init_files(), IsEmpty());
}

TEST_F(InitFromTest, RefusesWhatIsNoJobOrHasNoResult) {
  const FieldViolation unknown = Refusal(From("nobody"));
  EXPECT_EQ(unknown.field, "init_from");
  EXPECT_EQ(unknown.description,
            "found 'nobody', which is no job; legal is the id of a job that has SUCCEEDED");
  SubmitAndRun("first", a_);
  EXPECT_THAT(Refusal(From("first")).description, HasSubstr("found 'first', which is RUNNING"));
}

TEST_F(InitFromTest, RefusesAJobThatTrainsSomethingElse) {
  Succeed("first");
  v1::CreateJobRequest request = From("first");
  request.mutable_spec()->set_method(v1::JobSpec::FULL);
  EXPECT_EQ(Refusal(request).field, "method");
  request = From("first");
  request.mutable_spec()->mutable_lora()->set_rank(8);
  EXPECT_EQ(Refusal(request).field, "lora.rank");
  request.set_validate_only(true);
  EXPECT_EQ(Refusal(request).field, "lora.rank") << "dropbp validate";
}

TEST_F(InitFromTest, RefusesAResultWhoseFilesAreGone) {
  Succeed("first");
  ASSERT_TRUE(artifacts_->Delete(Get("first").artifacts(0).sha256()).ok());
  EXPECT_THAT(Refusal(From("first")).description,
              HasSubstr("whose adapter_model.safetensors is not stored any more"));
}

}  // namespace
}  // namespace dropbp::server
