// A job that is stopped and goes on from a checkpoint makes the same steps as one that was never
// disturbed.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "tests/unit/worker/trainer/train/resume_fixture.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/checkpoint/checkpoint_reader.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ResumeAtEveryStepTest : public ResumeTest, public ::testing::WithParamInterface<int> {};

TEST_P(ResumeAtEveryStepTest, GoesOnBitForBit) {
  const int world_size = GetParam();
  JobSpec spec = DroppingSpec();
  const std::vector<TinyRank> undisturbed = TrainTiny(spec, world_size);
  spec.checkpoint.every_steps = 1;
  const std::vector<TinyRank> saved = Train(spec, world_size);
  EXPECT_EQ(saved[0].weight_hashes, undisturbed[0].weight_hashes) << "saving changes nothing";
  ASSERT_THAT(saved[0].link->checkpoints, SizeIs(kTinySteps - 1)) << "the last step has a result";
  for (int64_t step = 1; step < kTinySteps; ++step) {
    SCOPED_TRACE(absl::StrCat("after ", step, " steps"));
    const auto resumed = GoOn(spec, world_size, Complete(spec, world_size, step));
    for (int rank = 0; rank < world_size; ++rank) {
      ExpectSameFrom(step, undisturbed[rank], resumed[rank]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ResumeAtEveryStepTest, ::testing::Values(1, 2));

TEST_F(ResumeTest, ResumedTwiceIsStillTheSame) {
  JobSpec spec = DroppingSpec();
  spec.checkpoint.every_steps = 2;
  const std::vector<TinyRank> undisturbed = Train(spec, 2);
  const std::string first = Complete(spec, 2, 2);
  for (const int rank : {0, 1}) fs::remove_all(RankFolder(rank));
  TrainTiny(spec, 2, nullptr, nullptr, [&](Assignment& assignment) {
    assignment.output_dir = RankFolder(assignment.rank);
    assignment.checkpoint_dir = first;
  });
  const auto resumed = GoOn(spec, 2, Complete(spec, 2, 4));
  for (const int rank : {0, 1}) ExpectSameFrom(4, undisturbed[rank], resumed[rank]);
}

// Only the order of fp32 sums differs, as between one rank and two without a restart. Weights are
// of size 0.1.
TEST_F(ResumeTest, GoesOnWithAnotherNumberOfRanks) {
  JobSpec spec = DroppingSpec();
  spec.dropbp.probe_every = 0;  // a later probe would differ in its last bits, and masks with it
  spec.checkpoint.every_steps = 3;
  for (const int from : {1, 2}) {
    const int to = 3 - from;
    const std::vector<TinyRank> undisturbed = Train(spec, from);
    const auto resumed = GoOn(spec, to, Complete(spec, from, 3));
    ASSERT_THAT(resumed[0].link->steps, SizeIs(kTinySteps - 3));
    for (const StepReport& step : resumed[0].link->steps) {
      const StepReport& same = undisturbed[0].link->steps[step.step];
      EXPECT_NEAR(step.loss, same.loss, 1e-5);
      EXPECT_EQ(step.tokens, same.tokens);
      EXPECT_EQ(step.mask_hash, same.mask_hash);
    }
    EXPECT_LE(MaxDifference(CopyWeights(*undisturbed[0].model), CopyWeights(*resumed[0].model)),
              2e-5);
  }
}

TEST_F(ResumeTest, SavesWhenItIsAskedToStop) {
  const JobSpec spec = DroppingSpec();
  const std::vector<TinyRank> undisturbed = TrainTiny(spec, 2);
  std::vector<absl::Status> statuses;
  const auto stopped = Train(
      spec, 2,
      [](TinyRank& rank, ProcessGroup* group) {
        const bool asked = group->rank() == 1 && rank.trainer->next_step() == 2;
        if (asked) rank.link->stop = StopRequest::kSaveAndStop;
      },
      &statuses);
  for (const absl::Status& status : statuses) EXPECT_TRUE(absl::IsCancelled(status)) << status;
  for (const TinyRank& rank : stopped) {
    ASSERT_THAT(rank.link->checkpoints, SizeIs(1));
    EXPECT_EQ(rank.link->checkpoints[0].step, 3);
  }
  const auto resumed = GoOn(spec, 2, Complete(spec, 2, 3));
  for (const int rank : {0, 1}) ExpectSameFrom(3, undisturbed[rank], resumed[rank]);
}

TEST_F(ResumeTest, SavesNothingWhenItIsStoppedForGood) {
  std::vector<absl::Status> statuses;
  const auto stopped = Train(
      TinySpec(), 2, [](TinyRank& rank, ProcessGroup*) { rank.link->stop = StopRequest::kStop; },
      &statuses);
  EXPECT_TRUE(absl::IsCancelled(statuses[0]));
  EXPECT_THAT(stopped[0].link->checkpoints, IsEmpty());
}

TEST_F(ResumeTest, TotalsGoOnWhereTheyStood) {
  JobSpec spec = DroppingSpec();
  spec.checkpoint.every_steps = 2;
  const auto all = Train(spec, 2);
  const std::string first = Complete(spec, 2, 2);
  const auto rest = TrainTiny(spec, 2, nullptr, nullptr, [&](Assignment& assignment) {
    assignment.output_dir = RankFolder(assignment.rank) + "-again";
    assignment.checkpoint_dir = first;
  });
  const auto totals = [](const TinyRank& rank) { return rank.link->checkpoints.back().totals; };
  const auto flops = [&](const std::vector<TinyRank>& ranks) {
    return totals(ranks[0]).backward_flops_saved + totals(ranks[1]).backward_flops_saved;
  };
  EXPECT_GT(flops(all), 0);
  EXPECT_EQ(flops(rest), flops(all)) << "sums over ranks";
  EXPECT_EQ(totals(rest[0]).tokens, totals(all[0]).tokens);
  EXPECT_EQ(totals(rest[0]).gradient_bytes_sent, totals(all[0]).gradient_bytes_sent);
  EXPECT_EQ(totals(rest[0]).loss, totals(all[0]).loss);
}

// A stretch of steps without a finite loss goes on counting.
TEST_F(ResumeTest, CountsNonFiniteStepsAcrossARestart) {
  JobSpec spec = TinySpec();
  spec.checkpoint.every_steps = 2;
  std::vector<absl::Status> statuses;
  Train(
      spec, 1,
      [](TinyRank& rank, ProcessGroup*) {
        if (rank.trainer->next_step() != 0) return;
        at::NoGradGuard no_grad;
        at::Tensor(rank.model->trainable()[0].value).fill_(std::nan(""));
      },
      &statuses);
  const auto resumed = GoOn(spec, 1, Complete(spec, 1, 2), &statuses);
  EXPECT_TRUE(absl::IsFailedPrecondition(statuses[0])) << statuses[0];
  EXPECT_THAT(resumed[0].link->steps, SizeIs(1)) << "the third in a row";
}

TEST_F(ResumeTest, ADiskThatTakesNoPartEndsNoJob) {
  std::ofstream(RankFolder(0)) << "a file where a folder should be";
  JobSpec spec = TinySpec();
  spec.checkpoint.every_steps = 2;
  const auto ranks = Train(spec, 1);
  EXPECT_THAT(ranks[0].link->steps, SizeIs(kTinySteps));
  ASSERT_THAT(ranks[0].link->checkpoints, SizeIs(2));
  EXPECT_EQ(ranks[0].link->checkpoints[0].file, "");
  EXPECT_THAT(ranks[0].link->checkpoints[0].error, HasSubstr(RankFolder(0)));
}

class RefusalTest : public ResumeTest {
 protected:
  void SetUp() override {
    ResumeTest::SetUp();
    spec_.checkpoint.every_steps = 3;
    trained_ = Train(spec_, 2);
    checkpoint_ = Complete(spec_, 2, 3);
  }

  // The refusal; model and optimizer must be as they were.
  absl::Status Load(const JobSpec& spec) const {
    const std::unique_ptr<Decoder> model = TinyModel(spec);
    AdamW optimizer(model->trainable(), spec.training);
    const uint64_t before = WeightHash(*model);
    const absl::Status status =
        LoadCheckpoint(checkpoint_, JobIdentity(spec), 0, model->trainable(), optimizer).status();
    if (!status.ok()) {
      EXPECT_EQ(WeightHash(*model), before);
      for (const auto& state : optimizer.states()) EXPECT_EQ(state.step.item<float>(), 0);
    }
    return status;
  }

  std::string PartPath(int rank) const { return checkpoint_ + "/" + PartFileName(rank, 2); }

  JobSpec spec_ = DroppingSpec();
  std::vector<TinyRank> trained_;
  std::string checkpoint_;
};

TEST_F(RefusalTest, LoadsWhatIsWhole) { EXPECT_TRUE(Load(spec_).ok()) << Load(spec_); }

TEST_F(RefusalTest, FindsAFlippedByteWhereverItIs) {
  const std::string content = *ReadFile(PartPath(1), 1 << 26);
  for (size_t at = 0; at < content.size(); at += content.size() / 20) {
    std::string changed = content;
    changed[at] ^= 0x10;
    std::ofstream(PartPath(1), std::ios::binary) << changed;
    EXPECT_TRUE(absl::IsDataLoss(Load(spec_))) << at;
  }
}

TEST_F(RefusalTest, ReadsAnOlderFormatAndRefusesANewerOne) {
  const auto rewrite = [&](const std::string& version) {
    for (const int rank : {0, 1}) {
      const std::string path = absl::StrCat(RankFolder(rank), "/checkpoints/step-3.safetensors");
      const auto file = hf::SafetensorsFile::Open(path).value();
      std::map<std::string, hf::TensorView> tensors = file->tensors();
      // version 1 had none of these
      for (const char* name :
           {kEvaluationTensor, kLossesTensor, kValidationStepsTensor, kValidationLossesTensor})
        tensors.erase(name);
      std::map<std::string, std::string> metadata = file->metadata();
      metadata["version"] = version;
      ASSERT_TRUE(hf::WriteSafetensors(path, tensors, metadata).ok());
    }
    Complete(spec_, 2, 3);
  };
  rewrite("1");
  EXPECT_TRUE(Load(spec_).ok()) << Load(spec_);
  rewrite("4");
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec_))) << Load(spec_);
  EXPECT_THAT(std::string(Load(spec_).message()), HasSubstr("found format version 4"));
}

TEST_F(RefusalTest, TakesNoCheckpointOfAnotherJob) {
  JobSpec other = spec_;
  other.training.learning_rate *= 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(Load(other))) << Load(other);
}

// What a job begins with that begins from a checkpoint of another one.
TEST_F(RefusalTest, TheValuesAloneServeAnotherJob) {
  JobSpec other = DroppingSpec();
  other.training.learning_rate = 0;
  const std::unique_ptr<Decoder> model = TinyModel(other);
  for (const TrainableParameter& parameter : model->trainable())
    at::Tensor(parameter.value).detach().zero_();
  ASSERT_TRUE(LoadCheckpointValues(checkpoint_, model->trainable()).ok());
  EXPECT_EQ(WeightHash(*model), trained_[0].weight_hashes[2]) << "after 3 steps";
  std::ofstream(PartPath(0), std::ios::app) << "more";
  EXPECT_TRUE(absl::IsDataLoss(LoadCheckpointValues(checkpoint_, model->trainable()).status()));
}

TEST_F(RefusalTest, TheValuesOfAnotherMethodAreRefusedAsAWhole) {
  for (const char* method : {"ia3", "full"}) {
    JobSpec other = spec_;
    other.method = method;
    const std::unique_ptr<Decoder> model = TinyModel(other);
    const uint64_t before = WeightHash(*model);
    const absl::Status status = LoadCheckpointValues(checkpoint_, model->trainable()).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << method << ": " << status;
    EXPECT_EQ(WeightHash(*model), before);
  }
}

TEST_F(RefusalTest, TakesNoPartsOfDifferentMoments) {
  JobSpec sooner = spec_;
  sooner.checkpoint.every_steps = 2;
  Train(sooner, 2);
  fs::rename(absl::StrCat(RankFolder(1), "/checkpoints/step-2.safetensors"),
             absl::StrCat(RankFolder(1), "/checkpoints/step-3.safetensors"));
  Complete(spec_, 2, 3);  // with a manifest that names the files as they are
  const absl::Status status = Load(spec_);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("the manifest names step 3"));
}

TEST_F(RefusalTest, TakesNoCheckpointWithoutItsManifest) {
  fs::remove(checkpoint_ + "/" + kManifestFile);
  EXPECT_TRUE(absl::IsNotFound(Load(spec_)));
}

TEST_F(RefusalTest, TakesNoCheckpointOfAnotherModel) {
  // The same identity, as if the model folder had been exchanged.
  JobSpec other = spec_;
  other.lora.rank = 8;
  const std::unique_ptr<Decoder> model = TinyModel(other);
  AdamW optimizer(model->trainable(), other.training);
  const absl::Status status =
      LoadCheckpoint(checkpoint_, JobIdentity(spec_), 0, model->trainable(), optimizer).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("of another model"));
}

}  // namespace
}  // namespace dropbp::trainer
