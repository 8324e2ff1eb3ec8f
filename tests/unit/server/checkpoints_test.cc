// Checkpoints as the coordinator keeps them, and what an attempt goes on from.
#include "core/base/files.h"
#include "core/checkpoint/manifest.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CheckpointsTest : public ClusterTest {
 protected:
  void SetUp() override {
    a_.Connect(*coordinator_);
    SubmitAndRun("job", a_);
  }

  std::vector<v1::Checkpoint> List(const std::string& job_id = "job") {
    return coordinator_->ListCheckpoints(job_id).value();
  }
  std::vector<int64_t> Steps(const std::string& job_id = "job") {
    std::vector<int64_t> steps;
    for (const v1::Checkpoint& checkpoint : List(job_id)) steps.push_back(checkpoint.step());
    return steps;
  }
  std::vector<int64_t> History() {
    std::vector<int64_t> steps;
    const auto history = coordinator_->StepsFrom("job", 0, 100);
    for (const v1::StepReport& step : history.value().steps) steps.push_back(step.step());
    return steps;
  }
  // Rank 1 is killed; rank 0 ends with it, and the gang is placed again.
  void CrashGang(int attempt) {
    ASSERT_TRUE(a_.Exited(*coordinator_, "job", attempt, 1, 9).ok());
    ASSERT_TRUE(a_.Exited(*coordinator_, "job", attempt, 0, 0, 1).ok());
    ASSERT_EQ(Get("job").attempt(), attempt + 1);
  }
  bool Has(const std::string& content) { return artifacts_->Has(Sha256Hex(content)); }
  std::string NewestEvent() {
    return coordinator_->NewestEvents("job", 1).value().back().message();
  }

  TestAgent a_{"a", 11, 2};
};

TEST_F(CheckpointsTest, OneIsCompleteWithItsLastPart) {
  HandOver(a_, "job", 1, 1, 3);
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_FALSE(Get("job").has_checkpoint());
  HandOver(a_, "job", 1, 0, 3);
  ASSERT_THAT(List(), SizeIs(1));
  const v1::Checkpoint checkpoint = List()[0];
  EXPECT_EQ(checkpoint.step(), 3);
  EXPECT_EQ(checkpoint.world_size(), 2);
  EXPECT_EQ(checkpoint.progress().tokens(), 300) << "rank 0's: they are those of the global batch";
  EXPECT_EQ(checkpoint.progress().backward_flops_saved(), 2 * 3 * 40) << "of both ranks";
  EXPECT_EQ(Get("job").checkpoint().step(), 3);
  EXPECT_EQ(NewestEvent().find("Checkpoint after 3 steps: 2 parts, "), 0u) << NewestEvent();

  const auto text = artifacts_->Read(checkpoint.manifest().sha256()).value()->Read(1 << 20);
  const auto manifest = ParseManifest(*text);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->step, 3);
  ASSERT_EQ(manifest->world_size(), 2);
  EXPECT_EQ(manifest->parts[1].sha256, Sha256Hex("part of rank 1 after 3 steps"));
  EXPECT_EQ(checkpoint.parts(1).name(), PartFileName(1, 2));
}

TEST_F(CheckpointsTest, TheNextAttemptGoesOnFromTheNewest) {
  TrainAndSave(a_, "job", 1, 0, 2);
  TrainAndSave(a_, "job", 1, 2, 4);
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 4).ok());
  EXPECT_THAT(History(), ElementsAre(0, 1, 2, 3, 4));
  CrashGang(1);
  ASSERT_THAT(a_.Starts(), SizeIs(2));
  EXPECT_FALSE(a_.Starts()[0].has_checkpoint());
  EXPECT_EQ(a_.Starts()[1].checkpoint().step(), 4);
  EXPECT_EQ(a_.Starts()[1].checkpoint().parts_size(), 2);
  const v1::Job job = Get("job");
  EXPECT_THAT(job.state_message(), HasSubstr("goes on from the checkpoint after 4 steps"));
  EXPECT_EQ(job.progress().step(), 4);
  EXPECT_EQ(job.progress().total_steps(), 10);
  EXPECT_EQ(job.progress().tokens(), 400);
  EXPECT_THAT(History(), ElementsAre(0, 1, 2, 3)) << "step 4 is made again";
}

TEST_F(CheckpointsTest, StepsThatAreMadeAgainCountOnce) {
  TrainAndSave(a_, "job", 1, 0, 4);
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, 4).ok());
  CrashGang(1);
  for (int step = 4; step < 6; ++step) {
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 2, rank, step).ok());
  }
  const v1::JobProgress progress = Get("job").progress();
  EXPECT_EQ(progress.step(), 6);
  EXPECT_EQ(progress.tokens(), 600);
  EXPECT_DOUBLE_EQ(progress.backward_flops_done(), 2 * 6 * 60);
  EXPECT_THAT(History(), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(CheckpointsTest, MasksAreSentFromTheStepThatComesNext) {
  TrainAndSave(a_, "job", 1, 0, 3);
  CrashGang(1);
  const size_t before = a_.Masks(0).size();
  ASSERT_TRUE(a_.Ready(*coordinator_, "job", 2, 0).ok());
  ASSERT_GT(a_.Masks(0).size(), before);
  EXPECT_EQ(a_.Masks(0)[before].first_step(), 3);
}

TEST_F(CheckpointsTest, WhatProbesFoundBeforeItStays) {
  v1::TrainerReport report;
  v1::ProbeReport& probe = *report.mutable_probe();
  probe.set_step(5);
  for (const double norm : {3.0, 4.0}) probe.add_base_norms(norm);
  for (int unit = 0; unit < 4; ++unit) {
    v1::UnitNorms& norms = *probe.add_units();
    norms.set_unit(unit);
    for (const double norm : {3.0 - unit * 0.5, 4.0}) norms.add_norms(norm);
  }
  for (int step = 0; step < 5; ++step) {
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  // One right before the probe, and one after.
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 5);
  ASSERT_TRUE(a_.Report(*coordinator_, "job", 1, 0, report).ok());
  EXPECT_EQ(Get("job").plan().version(), 2);
  CrashGang(1);
  EXPECT_EQ(Get("job").plan().version(), 1) << "the probe runs again";
  ASSERT_TRUE(a_.Report(*coordinator_, "job", 2, 0, report).ok());
  TrainAndSave(a_, "job", 2, 5, 7);
  CrashGang(2);
  EXPECT_EQ(a_.Starts().back().checkpoint().step(), 7);
  EXPECT_EQ(Get("job").plan().version(), 2);
  EXPECT_EQ(Get("job").plan().probe_step(), 5);
}

TEST_F(CheckpointsTest, OneThatIsNotCompleteIsForgottenWithItsAttempt) {
  TrainAndSave(a_, "job", 1, 0, 2);
  HandOver(a_, "job", 1, 0, 4, "of an attempt that ended");
  CrashGang(1);
  HandOver(a_, "job", 2, 1, 4);
  EXPECT_THAT(Steps(), ElementsAre(2)) << "parts of two attempts make no checkpoint";
  HandOver(a_, "job", 2, 0, 4);
  EXPECT_THAT(Steps(), ElementsAre(4, 2));
  EXPECT_FALSE(Has("of an attempt that ended"));
}

TEST_F(CheckpointsTest, TheNewestAreKeptAndTheFilesOfTheOthersDeleted) {
  HandOver(a_, "job", 1, 0, 1, "in two checkpoints");
  HandOver(a_, "job", 1, 1, 1);
  HandOver(a_, "job", 1, 0, 2);
  HandOver(a_, "job", 1, 1, 2, "in two checkpoints");
  const std::string manifest = List()[1].manifest().sha256();
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 3);
  EXPECT_THAT(Steps(), ElementsAre(3, 2)) << "checkpoint.keep is 2";
  EXPECT_FALSE(Has("part of rank 1 after 1 steps"));
  EXPECT_FALSE(artifacts_->Has(manifest));
  EXPECT_TRUE(Has("in two checkpoints"));
  EXPECT_TRUE(Has("part of rank 0 after 2 steps"));
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 4);
  EXPECT_FALSE(Has("in two checkpoints"));
}

TEST_F(CheckpointsTest, FilesThatAnotherJobUsesStay) {
  TestAgent b("b", 22, 1);
  b.Connect(*coordinator_);
  Submit("other", 1);
  // Whichever of them checks it.
  for (TestAgent* agent : {&a_, &b}) ASSERT_TRUE(agent->Prepared(*coordinator_, "other").ok());
  ASSERT_THAT(b.Starts(), SizeIs(1));
  HandOver(a_, "job", 1, 0, 1, "the same");
  HandOver(a_, "job", 1, 1, 1);
  HandOver(b, "other", 1, 0, 1, "the same");
  for (int step = 2; step < 4; ++step) {
    for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, step);
  }
  EXPECT_THAT(Steps(), ElementsAre(3, 2));
  EXPECT_TRUE(Has("the same"));
  for (int step = 2; step < 4; ++step) HandOver(b, "other", 1, 0, step);
  EXPECT_FALSE(Has("the same"));
}

TEST_F(CheckpointsTest, PartsThatComeTooLateAreTurnedDown) {
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 3);
  HandOver(a_, "job", 1, 0, 2, "of an earlier step");
  EXPECT_FALSE(Has("of an earlier step"));
  CrashGang(1);
  HandOver(a_, "job", 1, 0, 4, "of an earlier attempt");
  EXPECT_FALSE(Has("of an earlier attempt"));
  // Said again after a reconnect.
  HandOver(a_, "job", 2, 0, 3);
  EXPECT_TRUE(Has("part of rank 0 after 3 steps"));
  EXPECT_THAT(Steps(), ElementsAre(3));
}

// As a pause leaves it in the evaluation that follows the last step.
TEST_F(CheckpointsTest, AnAttemptGoesOnFromTheLastStepToTheResult) {
  TrainAndSave(a_, "job", 1, 0, 10);
  ASSERT_EQ(Get("job").progress().step(), Get("job").progress().total_steps());
  CrashGang(1);
  EXPECT_EQ(a_.Starts().back().checkpoint().step(), 10);
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "job", 2, rank).ok());
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  for (const int rank : {1, 0}) ASSERT_TRUE(a_.Finished(*coordinator_, "job", 2, rank).ok());
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", 2, rank, 0, 0).ok());
  EXPECT_EQ(State("job"), v1::Job::SUCCEEDED);
  EXPECT_EQ(Get("job").progress().step(), 10);
}

TEST_F(CheckpointsTest, AFailureIsToldAndEndsNothing) {
  v1::SessionRequest frame;
  frame.mutable_rank_checkpoint()->set_job_id("job");
  frame.mutable_rank_checkpoint()->set_attempt(1);
  frame.mutable_rank_checkpoint()->set_rank(1);
  frame.mutable_rank_checkpoint()->mutable_checkpoint()->set_step(3);
  frame.mutable_rank_checkpoint()->mutable_checkpoint()->set_error("No space left on device");
  ASSERT_TRUE(a_.Send(*coordinator_, frame).ok());
  EXPECT_EQ(NewestEvent(),
            "Rank 1 could not save the checkpoint after 3 steps: No space left on device");
  EXPECT_EQ(State("job"), v1::Job::RUNNING);
  v1::Artifact missing;
  missing.set_sha256(Sha256Hex("never uploaded"));
  ASSERT_TRUE(a_.Checkpoint(*coordinator_, "job", 1, 0, 3, missing).ok());
  EXPECT_THAT(NewestEvent(), HasSubstr("its file was not uploaded"));
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(CheckpointsTest, OneWhoseFilesAreGoneIsPassedOver) {
  TrainAndSave(a_, "job", 1, 0, 2);
  TrainAndSave(a_, "job", 1, 2, 4);
  ASSERT_TRUE(artifacts_->Delete(Sha256Hex("part of rank 1 after 4 steps")).ok());
  CrashGang(1);
  EXPECT_EQ(a_.Starts().back().checkpoint().step(), 2);
  EXPECT_EQ(Get("job").checkpoint().step(), 2);
  EXPECT_THAT(Steps(), ElementsAre(2));
  EXPECT_THAT(History(), ElementsAre(0, 1));
}

TEST_F(CheckpointsTest, PartsOutliveACrashOfTheCoordinator) {
  HandOver(a_, "job", 1, 0, 3);
  Crash();
  a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
  HandOver(a_, "job", 1, 1, 3);
  EXPECT_THAT(Steps(), ElementsAre(3));
  Crash();
  EXPECT_EQ(Get("job").checkpoint().step(), 3);
}

TEST_F(CheckpointsTest, ADrainSavesOneFirst) {
  TestAgent b("b", 22, 2);
  b.Connect(*coordinator_);
  v1::SessionRequest frame;
  frame.mutable_draining()->set_grace_seconds(7);
  ASSERT_TRUE(a_.Send(*coordinator_, frame).ok());
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_TRUE(a_.Stops()[0].save_checkpoint());
  for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, 6);
  for (const int rank : {0, 1}) ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, rank).ok());
  ASSERT_THAT(b.Starts(), SizeIs(1));
  EXPECT_EQ(b.Starts()[0].checkpoint().step(), 6);
}

TEST_F(CheckpointsTest, ACrashedGangSavesNothing) {
  ASSERT_TRUE(a_.Exited(*coordinator_, "job", 1, 1, 9).ok());
  ASSERT_THAT(a_.Stops(), SizeIs(1));
  EXPECT_FALSE(a_.Stops()[0].save_checkpoint());
}

TEST_F(CheckpointsTest, NobodyHasThoseOfAJobThatIsNotThere) {
  EXPECT_TRUE(absl::IsNotFound(coordinator_->ListCheckpoints("nobody").status()));
}

}  // namespace
}  // namespace dropbp::server
