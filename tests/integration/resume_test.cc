// Jobs that are stopped in the middle, in every way, go on from their newest checkpoint and end
// with the same bits as one that was never disturbed.
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "proto/support/job_spec_proto.h"
#include "tests/integration/cluster_test.h"
#include "tests/support/poll_until.h"

namespace dropbp::testing {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSteps = 400;

class ResumeTest : public ClusterTest {
 protected:
  // Saved every 20 steps; sensitivities are measured before steps 40, 120, 200,
  // 280 and 360: also right at a checkpoint.
  static JobSpec SavedJob() {
    JobSpec spec = TinyJob();
    spec.training.steps = kSteps;
    spec.dropbp.probe_every = 80;
    spec.checkpoint.every_steps = 20;
    return spec;
  }

  v1::Job Get(const std::string& id) { return cluster().client().GetJob(id).value_or(v1::Job()); }

  // Until the coordinator has the whole checkpoint after `step` steps, or a later one.
  void AwaitCheckpoint(const std::string& id, int64_t step) {
    ASSERT_TRUE(PollUntil(kPatience, [&] { return Get(id).checkpoint().step() >= step; }))
        << Get(id).ShortDebugString();
  }

  // Where an attempt began, from the log of one of its ranks.
  int64_t FirstStep(const std::string& id, int attempt, int rank) {
    for (int worker = 0; worker < 3; ++worker) {
      const std::vector<StepLine> lines = ParseStepLines(NodeLog(worker, id, rank, attempt));
      if (!lines.empty()) return lines.front().step - 1;
    }
    return -1;
  }

  void ExpectSameEnd(const v1::Job& undisturbed, const std::string& id) {
    ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
    EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
    EXPECT_EQ(AdapterHash(job), AdapterHash(undisturbed));
    EXPECT_EQ(job.progress().step(), kSteps);
    EXPECT_EQ(job.progress().tokens(), undisturbed.progress().tokens());
    EXPECT_EQ(job.progress().backward_flops_saved(), undisturbed.progress().backward_flops_saved());
    EXPECT_EQ(job.progress().gradient_bytes_sent(), undisturbed.progress().gradient_bytes_sent());
    EXPECT_EQ(job.plan().version(), undisturbed.plan().version());
    ExpectRecordOfEachStepOnce(id, kSteps);
  }
};

TEST_F(ResumeTest, AKilledTrainerCostsNoMoreThanTheStepsSinceTheCheckpoint) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  JobSpec plain = SavedJob();
  plain.checkpoint.every_steps = 0;
  const v1::Job undisturbed = RunUndisturbed(plain);
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(SavedJob(), data_));
  int attempt = 1;
  int victim = 0;
  for (const int64_t step : {40, 120, 200}) {
    ASSERT_NO_FATAL_FAILURE(AwaitCheckpoint(id, step));
    ASSERT_OK(cluster().KillTrainer(victim));
    victim = 1 - victim;
    ++attempt;
    ASSERT_TRUE(PollUntil(kPatience, [&] {
      const v1::Job job = Get(id);
      return job.attempt() == attempt && job.state() == v1::Job::RUNNING;
    })) << Get(id).ShortDebugString();
  }
  ASSERT_NO_FATAL_FAILURE(ExpectSameEnd(undisturbed, id));
  EXPECT_EQ(Get(id).attempt(), 4);
  EXPECT_EQ(Get(id).restarts(), 3);
  for (const int rank : {0, 1}) {
    EXPECT_EQ(FirstStep(id, 1, rank), 0);
    for (int again = 2; again <= 4; ++again) {
      const int64_t first = FirstStep(id, again, rank);
      EXPECT_GE(first, 40 + 80 * (again - 2));
      EXPECT_EQ(first % 20, 0);
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto list, cluster().client().ListCheckpoints(id));
  ASSERT_EQ(list.checkpoints_size(), 2) << "checkpoint.keep";
  EXPECT_EQ(list.checkpoints(0).step(), 380);
  EXPECT_EQ(list.checkpoints(1).step(), 360);
}

TEST_F(ResumeTest, APausedJobFreesItsDevicesAndGoesOnAtTheSameStep) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  JobSpec spec = SavedJob();
  spec.checkpoint.every_steps = 0;
  const v1::Job undisturbed = RunUndisturbed(spec);
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  ASSERT_OK(cluster().WaitForStep(id, 130).status());
  ASSERT_OK(cluster().client().PauseJob(id).status());
  ASSERT_OK(cluster().WaitForState(id, v1::Job::PAUSED).status());
  ASSERT_OK(cluster().WaitForNoTrainers(absl::Seconds(5)));
  const int64_t step = Get(id).checkpoint().step();
  EXPECT_GE(step, 130);
  EXPECT_EQ(Get(id).progress().step(), step) << "no step was made in vain";

  // Another job runs meanwhile.
  JobSpec other = TinyJob();
  other.training.seed = 3;
  EXPECT_NE(AdapterHash(RunUndisturbed(other)), "");
  EXPECT_EQ(Get(id).state(), v1::Job::PAUSED);
  // And the coordinator comes and goes.
  ASSERT_OK(cluster().StopCoordinator(absl::Seconds(15)));
  ASSERT_OK(cluster().StartCoordinator());
  ASSERT_OK(cluster().WaitForWorkers());
  ASSERT_OK(cluster().client().ResumeJob(id).status());
  ASSERT_NO_FATAL_FAILURE(ExpectSameEnd(undisturbed, id));
  EXPECT_EQ(Get(id).restarts(), 0);
  for (const int rank : {0, 1}) EXPECT_EQ(FirstStep(id, 2, rank), step);
}

// One rank stays on its node and has its own part there; the other begins on a node that has none.
TEST_F(ResumeTest, AGangGoesOnWhereNobodyHasItsCheckpoint) {
  ASSERT_NO_FATAL_FAILURE(StartCluster({.workers = 3, .slots = 1}));
  const v1::Job undisturbed = RunUndisturbed(SavedJob());
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(SavedJob(), data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job running, cluster().WaitForStep(id, 70));
  int leaving = 0;
  ASSERT_TRUE(absl::SimpleAtoi(running.workers(1).substr(running.workers(1).size() - 1), &leaving));
  ASSERT_OK(cluster().StopWorker(leaving, absl::Seconds(10)));
  ASSERT_NO_FATAL_FAILURE(ExpectSameEnd(undisturbed, id));
  EXPECT_EQ(Get(id).attempt(), 2);
  EXPECT_EQ(Get(id).restarts(), 0);
  EXPECT_THAT(NodeLog(leaving, id, 1),
              HasSubstr(absl::StrCat("stopped on request after ", FirstStep(id, 2, 1), " steps")))
      << "it was saved where it was stopped";
  ASSERT_OK(cluster().StartWorker(leaving));
  ASSERT_OK(cluster().WaitForWorkers());
}

TEST_F(ResumeTest, ACheckpointThatIsDownloadedIsWhole) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(SavedJob(), data_));
  ASSERT_OK(cluster().WaitForEnd(id).status());
  const std::string folder = cluster().folder() / "checkpoint";
  EXPECT_EQ(Dropbp("checkpoints", {"checkpoints", id}), 0);
  EXPECT_THAT(cluster().FileContent("checkpoints.out"), HasSubstr("380"));
  EXPECT_EQ(Dropbp("download", {"download", id, "--checkpoint", "380", "--to", folder}), 0)
      << cluster().FileContent("download.err");
  const auto manifest = ReadManifest(folder);
  ASSERT_OK(manifest.status());
  EXPECT_EQ(manifest->step, 380);
  EXPECT_EQ(manifest->identity, JobIdentity(JobSpecFromProto(Get(id).spec())));
  ASSERT_OK(VerifyParts(folder, *manifest));
  EXPECT_EQ(Dropbp("none", {"download", id, "--checkpoint", "7"}), 3);
  EXPECT_THAT(cluster().FileContent("none.err"), HasSubstr("has 380, 360"));
}

}  // namespace
}  // namespace dropbp::testing
