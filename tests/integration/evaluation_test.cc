// A job that is evaluated while it trains: held-out samples, prompts, early stop, best weights.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/job/evaluation_schedule.h"
#include "tests/integration/cluster_test.h"

namespace dropbp::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class EvaluationTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (!IsSkipped()) StartCluster();
  }

  // Uploads held-out samples that the data set does not have.
  std::string UploadHeldOut(const std::string& content) {
    const std::string path = (cluster().folder() / "held-out.jsonl").string();
    EXPECT_TRUE(WriteFileAtomically(path, content).ok());
    v1::Artifact file;
    file.set_name("held-out.jsonl");
    file.set_sha256(Sha256Hex(content));
    file.set_size_bytes(static_cast<int64_t>(content.size()));
    const auto stored = cluster().client().Upload(path, file, [](int64_t, int64_t) {});
    EXPECT_TRUE(stored.ok()) << stored.status();
    return file.sha256();
  }

  static std::string HeldOut() {
    std::string lines;
    for (int i = 0; i < 9; ++i)
      absl::StrAppend(&lines, "{\"prompt\": \"Which comes after ", i,
                      "?\", \"completion\": \"Then comes ", i + 1, ".\"}\n");
    return lines;
  }

  // Learns far too fast, so that the held-out loss soon grows.
  JobSpec OverfittingJob() {
    JobSpec spec = TinyJob();
    spec.training.steps = 200;
    spec.training.learning_rate = 0.3;
    spec.training.warmup_ratio = 0;
    spec.training.schedule = "constant";
    spec.dropbp = {};  // by depth: no probe
    spec.dataset.validation_artifact = UploadHeldOut(HeldOut());
    spec.evaluation.every_steps = 2;
    spec.evaluation.patience = 3;
    spec.evaluation.result = "best";
    spec.evaluation.prompts = {"Which comes after 3?", "What is 1 plus 1?"};
    spec.evaluation.max_new_tokens = 4;
    spec.checkpoint.keep = 1;
    return spec;
  }

  // The best checkpoint, downloaded and exported, is the job's result, and answers.
  void ExpectExportOfTheBestIsTheResultOf(const v1::Job& job) {
    const std::string model = cluster().models_dir() / job.spec().model();
    const std::string checkpoint = cluster().folder() / "checkpoint";
    const std::string adapter = cluster().folder() / "adapter";
    ASSERT_EQ(
        Dropbp("download", {"download", job.job_id(), "--checkpoint", "best", "--to", checkpoint}),
        0)
        << cluster().FileContent("download.err");
    ASSERT_EQ(Run("export", {TrainerProgram(), "export", "--checkpoint", checkpoint, "--model",
                             model, "--out", adapter}),
              0)
        << cluster().FileContent("export.err");
    EXPECT_EQ(Sha256HexOfFile(adapter + "/adapter_model.safetensors").value_or(""),
              AdapterHash(job));
    EXPECT_EQ(Run("answer", {TrainerProgram(), "generate", "--model", model, "--adapter", adapter,
                             "--prompt", "What is 1 plus 1?", "--max-tokens", "4"}),
              0)
        << cluster().FileContent("answer.err");
  }

  std::vector<v1::Evaluation> EvaluationsOf(const std::string& job_id) {
    std::vector<v1::Evaluation> evaluations;
    const auto events = cluster().Events(job_id);
    EXPECT_TRUE(events.ok()) << events.status();
    for (const v1::JobEvent& event : events.value()) {
      if (event.type() == v1::JobEvent::EVALUATION)
        evaluations.push_back(event.progress().evaluation());
    }
    return evaluations;
  }
};

TEST_F(EvaluationTest, StopsEarlyAndLeavesTheBestWeights) {
  const JobSpec spec = OverfittingJob();
  const v1::Job job = RunUndisturbed(spec);
  EXPECT_EQ(job.dataset_report().samples(), 64);
  EXPECT_EQ(job.dataset_report().validation_samples(), 9);
  const std::vector<v1::Evaluation> evaluations = EvaluationsOf(job.job_id());
  ASSERT_GE(evaluations.size(), 4u);
  BestEvaluation best;
  for (const v1::Evaluation& evaluation : evaluations) {
    EXPECT_EQ(evaluation.supervised_tokens(), job.dataset_report().validation_supervised_tokens());
    ASSERT_THAT(evaluation.samples(), SizeIs(2));
    EXPECT_EQ(evaluation.samples(0).prompt(), "Which comes after 3?");
    if (best.IsBeatenBy(evaluation.loss()))
      best = {.step = evaluation.step(), .loss = evaluation.loss()};
  }
  const int64_t last = evaluations.back().step();
  EXPECT_LT(last, 200);
  EXPECT_EQ(last, best.step + 2 * spec.evaluation.patience);
  EXPECT_EQ(job.progress().step(), last);
  EXPECT_EQ(job.progress().best_evaluation().step(), best.step);
  EXPECT_THAT(job.state_message(), HasSubstr(absl::StrCat("Stopped early after ", last, " steps")));
  EXPECT_THAT(job.state_message(),
              HasSubstr(absl::StrCat("The result is that after ", best.step, " steps")));
  // The same job that ends there without an evaluation leaves the same weights.
  JobSpec plain = spec;
  plain.training.steps = best.step;
  plain.evaluation = {};
  plain.dataset.validation_artifact.clear();
  EXPECT_EQ(AdapterHash(RunUndisturbed(plain)), AdapterHash(job));
  // The checkpoint of that moment is kept beside the newest.
  v1::ListCheckpointsResponse kept;
  ASSERT_OK_AND_ASSIGN(kept, cluster().client().ListCheckpoints(job.job_id()));
  const auto marked = std::find_if(kept.checkpoints().begin(), kept.checkpoints().end(),
                                   [](const v1::Checkpoint& one) { return one.best(); });
  ASSERT_NE(marked, kept.checkpoints().end());
  EXPECT_EQ(marked->step(), best.step);
  ASSERT_NO_FATAL_FAILURE(ExpectExportOfTheBestIsTheResultOf(job));
  // Another job begins from it; a learning rate of 0 leaves everything as it began.
  plain.training.steps = 1;
  plain.training.learning_rate = 0;
  plain.init_from = job.job_id() + "@best";
  const v1::Job begun = RunUndisturbed(plain);
  EXPECT_EQ(begun.spec().init_from(), absl::StrCat(job.job_id(), "@", best.step));
  EXPECT_EQ(AdapterHash(begun), AdapterHash(job));
}

TEST_F(EvaluationTest, AGangThatCrashesComesToTheSameEnd) {
  JobSpec spec = OverfittingJob();
  spec.evaluation.patience = 10;  // long enough to be killed on the way
  spec.evaluation.prompts.clear();
  const v1::Job undisturbed = RunUndisturbed(spec);
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_, "disturbed"));
  ASSERT_OK(
      cluster().WaitForStep(id, undisturbed.progress().best_evaluation().step() + 4).status());
  ASSERT_OK(cluster().KillTrainer(1));
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.state_message(), undisturbed.state_message());
  EXPECT_EQ(AdapterHash(job), AdapterHash(undisturbed));
  EXPECT_EQ(job.progress().evaluation().loss(), undisturbed.progress().evaluation().loss());
}

// An evaluation takes hundreds of times as long as a step here, so that the pause comes into one.
TEST_F(EvaluationTest, APauseBreaksOneOffAndItIsMadeAgain) {
  JobSpec spec = TinyJob();
  spec.training.steps = 4;
  spec.evaluation.every_steps = 2;
  spec.dataset.validation_artifact = UploadHeldOut(TinyDataset(1500));
  const v1::Job undisturbed = RunUndisturbed(spec);
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_, "disturbed"));
  ASSERT_OK(cluster().WaitForStep(id, 2).status());
  ASSERT_OK(cluster().client().PauseJob(id).status());
  ASSERT_OK(cluster().WaitForState(id, v1::Job::PAUSED).status());
  ASSERT_OK(cluster().client().ResumeJob(id).status());
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(AdapterHash(job), AdapterHash(undisturbed));
  EXPECT_EQ(job.progress().evaluation().loss(), undisturbed.progress().evaluation().loss());
  EXPECT_THAT(EvaluationsOf(id), SizeIs(2));
}

TEST_F(EvaluationTest, AShareIsHeldOutAndTheLossFalls) {
  JobSpec spec = TinyJob();
  spec.training.steps = 0;
  spec.training.epochs = 4;
  spec.training.learning_rate = 5e-3;
  spec.dataset.validation_share = 0.25;
  const v1::Job job = RunUndisturbed(spec);
  EXPECT_EQ(job.dataset_report().samples(), 48);
  EXPECT_EQ(job.dataset_report().validation_samples(), 16);
  EXPECT_EQ(job.progress().total_steps(), 24) << "4 * 48 / 8";
  const std::vector<v1::Evaluation> evaluations = EvaluationsOf(job.job_id());
  ASSERT_THAT(evaluations, SizeIs(12)) << "a tenth of 24 steps is 2";
  EXPECT_LT(evaluations.back().loss(), evaluations.front().loss());
  EXPECT_EQ(job.state_message(), "Finished after 24 steps.");
}

TEST_F(EvaluationTest, ABrokenValidationFileEndsTheJobBeforeADeviceIsTaken) {
  JobSpec spec = TinyJob();
  spec.dataset.validation_artifact = UploadHeldOut(HeldOut() + "{\"prompt\": \"alone\"}\n");
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.attempt(), 0);
  EXPECT_THAT(job.state_message(), HasSubstr("validation file:10: "));
}

}  // namespace
}  // namespace dropbp::testing
