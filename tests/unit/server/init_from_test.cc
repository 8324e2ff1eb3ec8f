// Jobs that begin from what an earlier one trained, as the coordinator sees them.
#include "core/base/files.h"
#include "core/checkpoint/manifest.h"
#include "proto/support/grpc_status.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
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
  EXPECT_EQ(Refusal(From("first")).description,
            "found 'first', which is RUNNING; legal is the id of a job that has SUCCEEDED, or one "
            "of its checkpoints, as first@latest");
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

class InitFromCheckpointTest : public InitFromTest {
 protected:
  // The first job runs and has saved itself after 2 and after 4 steps.
  void SetUp() override {
    InitFromTest::SetUp();
    SubmitAndRun("first", a_);
    b_.Connect(*coordinator_);
    TrainAndSave(a_, "first", 1, 0, 2);
    TrainAndSave(a_, "first", 1, 2, 4);
  }

  // Each saves two more, so that those before are not kept.
  void SaveOn() {
    TrainAndSave(a_, "first", 1, 4, 6);
    TrainAndSave(a_, "first", 1, 6, 8);
  }
  bool HasPart(int rank, int64_t step) {
    return artifacts_->Has(
        Sha256Hex(absl::StrCat("part of rank ", rank, " after ", step, " steps")));
  }
  // The newest order to check "second", wherever it went.
  v1::PrepareJob Order() {
    std::vector<v1::PrepareJob> orders;
    for (TestAgent* agent : {&a_, &b_}) {
      for (const auto& frame : agent->Frames([](const auto& f) { return f.has_prepare_job(); })) {
        if (frame.prepare_job().job_id() == "second") orders.push_back(frame.prepare_job());
      }
    }
    EXPECT_FALSE(orders.empty());
    return orders.empty() ? v1::PrepareJob() : orders.back();
  }

  TestAgent b_{"b", 12, 2};
};

TEST_F(InitFromCheckpointTest, TheFilesOfARunningJobsCheckpointAreSent) {
  const auto created = coordinator_->CreateJob(From("first@2"));
  ASSERT_TRUE(created.ok()) << created.status();
  const v1::PrepareJob order = Order();
  std::vector<std::string> names;
  for (const v1::Artifact& file : order.init_files()) names.push_back(file.name());
  EXPECT_THAT(names, ElementsAre(PartFileName(0, 2), PartFileName(1, 2), kManifestFile));
  EXPECT_EQ(order.init_files(1).sha256(), Sha256Hex("part of rank 1 after 2 steps"));
}

TEST_F(InitFromCheckpointTest, LatestAndBestBecomeTheStepThatTheyAreNow) {
  v1::CreateJobRequest request = From("first@latest");
  request.set_validate_only(true);
  EXPECT_EQ(coordinator_->CreateJob(request)->spec().init_from(), "first@4") << "dropbp validate";
  ASSERT_TRUE(coordinator_->CreateJob(From("first@latest")).ok());
  SaveOn();
  EXPECT_EQ(Get("second").spec().init_from(), "first@4");
  EXPECT_EQ(Order().spec().init_from(), "first@4");
}

TEST_F(InitFromCheckpointTest, BestIsTheOneWithTheLeastValidationLoss) {
  EXPECT_THAT(Refusal(From("first@best")).description,
              HasSubstr("which is no checkpoint of that job; legal is one that is kept: first@4, "
                        "first@2"));
  v1::TrainerReport report;
  report.mutable_evaluation()->set_step(4);
  report.mutable_evaluation()->set_loss(1.5);
  report.mutable_evaluation()->set_supervised_tokens(10);
  ASSERT_TRUE(a_.Report(*coordinator_, "first", 1, 0, report).ok());
  TrainAndSave(a_, "first", 1, 4, 6);
  const auto created = coordinator_->CreateJob(From("first@best"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->spec().init_from(), "first@4");
}

TEST_F(InitFromCheckpointTest, ItsFilesStayUntilTheJobHasEnded) {
  ASSERT_TRUE(coordinator_->CreateJob(From("first@2")).ok());
  SaveOn();
  EXPECT_EQ(coordinator_->ListCheckpoints("first")->back().step(), 6) << "the newest two are kept";
  EXPECT_FALSE(HasPart(0, 4));
  for (const int rank : {0, 1}) EXPECT_TRUE(HasPart(rank, 2));
  Crash();
  EXPECT_TRUE(HasPart(0, 2)) << "after a restart of the coordinator too";
  ASSERT_TRUE(coordinator_->CancelJob("second").ok());
  for (const int rank : {0, 1}) EXPECT_FALSE(HasPart(rank, 2));
  EXPECT_TRUE(HasPart(0, 8)) << "the other job's own";
}

TEST_F(InitFromCheckpointTest, ACheckpointOfItsOwnLetsNothingGo) {
  ASSERT_TRUE(coordinator_->CreateJob(From("first@2")).ok());
  ASSERT_TRUE(b_.Prepared(*coordinator_, "second").ok());
  for (const int rank : {0, 1}) ASSERT_TRUE(b_.Ready(*coordinator_, "second", 1, rank).ok());
  SaveOn();
  for (const int64_t step : {1, 2, 3}) {
    for (const int rank : {0, 1}) HandOver(b_, "second", 1, rank, step);
  }
  EXPECT_TRUE(HasPart(0, 2));
}

TEST_F(InitFromCheckpointTest, NamesWhatIsNotThere) {
  EXPECT_EQ(Refusal(From("nobody@4")).description,
            "found 'nobody@4', of which there is no job; legal is a checkpoint of a job");
  EXPECT_EQ(Refusal(From("first@3")).description,
            "found 'first@3', which is no checkpoint of that job; legal is one that is kept: "
            "first@4, first@2");
  v1::CreateJobRequest request = From("first@2");
  request.mutable_spec()->mutable_lora()->set_rank(8);
  EXPECT_EQ(Refusal(request).description,
            "found 8, legal is 16 as in job 'first', which init_from names");
  ASSERT_TRUE(artifacts_->Delete(Sha256Hex("part of rank 1 after 2 steps")).ok());
  EXPECT_THAT(Refusal(From("first@2")).description, HasSubstr("not all stored any more"));
  ASSERT_TRUE(coordinator_->CreateJob(Request("third")).ok());
  EXPECT_THAT(Refusal(From("third@latest")).description, HasSubstr("that job has no checkpoint"));
}

TEST_F(InitFromCheckpointTest, ACancelledJobsCheckpointServesToo) {
  ASSERT_TRUE(coordinator_->CancelJob("first").ok());
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "first", 1, rank, 0, 0).ok());
  ASSERT_EQ(State("first"), v1::Job::CANCELLED);
  EXPECT_TRUE(coordinator_->CreateJob(From("first@4")).ok());
}

}  // namespace
}  // namespace dropbp::server
