// A job that is stopped and goes on from a checkpoint makes the same steps as one that was never
// disturbed.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/files.h"
#include "core/base/philox.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "tests/unit/worker/trainer/train/checkpoint_folder.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/checkpoint/checkpoint_reader.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Probes before steps 2 and 4, balanced masks, dropout, AdamW state that differs by unit.
JobSpec DroppingSpec() {
  JobSpec spec = TinySpec();
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.masks = "balanced";
  spec.dropbp.probe_at = 0.34;
  spec.dropbp.probe_every = 2;
  spec.training.schedule = "cosine";
  spec.training.weight_decay = 0.1;
  spec.lora.dropout = 0.1;
  return spec;
}

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }

  std::string RankFolder(int rank) const { return folder_.RankFolder(rank); }
  std::string Complete(const JobSpec& spec, int world_size, int64_t step) const {
    return folder_.Complete(spec, world_size, step);
  }
  std::string PartOf(int rank, int64_t step) const {
    return absl::StrCat(RankFolder(rank), "/checkpoints/step-", step, ".safetensors");
  }

  // Trains from the beginning and saves after every step, or as `spec` says otherwise.
  std::vector<TinyRank> Train(
      const JobSpec& spec, int world_size,
      const std::function<void(TinyRank&, ProcessGroup*)>& before_step = nullptr,
      std::vector<absl::Status>* statuses = nullptr) const {
    return TrainTiny(spec, world_size, before_step, statuses, [this](Assignment& assignment) {
      assignment.output_dir = RankFolder(assignment.rank);
    });
  }

  static std::vector<TinyRank> GoOn(const JobSpec& spec, int world_size,
                                    const std::string& checkpoint,
                                    std::vector<absl::Status>* statuses = nullptr) {
    return TrainTiny(spec, world_size, nullptr, statuses,
                     [&](Assignment& assignment) { assignment.checkpoint_dir = checkpoint; });
  }

  CheckpointFolder folder_;
};

void ExpectSameMoments(const TinyRank& a, const TinyRank& b) {
  const auto& left = a.trainer->optimizer().states();
  const auto& right = b.trainer->optimizer().states();
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(at::equal(left[i].first_moment, right[i].first_moment)) << i;
    EXPECT_TRUE(at::equal(left[i].second_moment, right[i].second_moment)) << i;
    EXPECT_TRUE(at::equal(left[i].step, right[i].step)) << i;
  }
}

// Those steps that `resumed` made from `step` on are those of `undisturbed`.
void ExpectSameSteps(int64_t step, const TinyRank& undisturbed, const TinyRank& resumed) {
  const std::vector<StepReport>& all = undisturbed.link->steps;
  const std::vector<StepReport>& rest = resumed.link->steps;
  ASSERT_LE(static_cast<size_t>(step) + rest.size(), all.size());
  ASSERT_THAT(resumed.weight_hashes, SizeIs(rest.size()));
  for (size_t i = 0; i < rest.size(); ++i) {
    const StepReport& same = all[static_cast<size_t>(step) + i];
    EXPECT_EQ(rest[i].step, same.step);
    EXPECT_EQ(rest[i].loss, same.loss);
    EXPECT_EQ(rest[i].grad_norm, same.grad_norm);
    EXPECT_EQ(rest[i].learning_rate, same.learning_rate);
    EXPECT_EQ(rest[i].mask_hash, same.mask_hash);
    EXPECT_EQ(rest[i].plan_version, same.plan_version);
    EXPECT_EQ(resumed.weight_hashes[i], undisturbed.weight_hashes[static_cast<size_t>(step) + i]);
  }
}

// `resumed` made exactly the steps of `undisturbed` from `step` on.
void ExpectSameFrom(int64_t step, const TinyRank& undisturbed, const TinyRank& resumed) {
  EXPECT_THAT(resumed.link->steps,
              SizeIs(undisturbed.link->steps.size() - static_cast<size_t>(step)));
  ExpectSameSteps(step, undisturbed, resumed);
  ExpectSameMoments(undisturbed, resumed);
}

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

// A way to train, as changes to DroppingSpec().
struct ResumeCase {
  const char* name;
  std::function<void(JobSpec&)> edit;
};

const std::vector<ResumeCase>& ResumeCases() {
  static const std::vector<ResumeCase> cases = {
      {"lora_with_dropout", [](JobSpec& spec) { spec.lora.dropout = 0.3; }},
      {"dora",
       [](JobSpec& spec) {
         spec.lora.use_dora = true;
         spec.lora.dropout = 0;
       }},
      {"qlora", [](JobSpec& spec) { spec.method = "qlora"; }},
      {"ia3", [](JobSpec& spec) { spec.method = "ia3"; }},
      {"prompt_tuning",
       [](JobSpec& spec) {
         spec.method = "prompt_tuning";
         spec.prompt_tuning.num_virtual_tokens = 3;
       }},
      {"full", [](JobSpec& spec) { spec.method = "full"; }},
      {"full_in_bf16",
       [](JobSpec& spec) {
         spec.method = "full";
         spec.dtype = "bf16";
       }},
      {"accumulation", [](JobSpec& spec) { spec.training.micro_batch_size = 1; }},
      {"packing", [](JobSpec& spec) { spec.dataset.packing = true; }},
      {"nested_masks", [](JobSpec& spec) { spec.dropbp.allocation = "depth"; }},
      {"activation_checkpointing",
       [](JobSpec& spec) { spec.training.activation_checkpointing = true; }}};
  return cases;
}

// A job whose processes are killed after random steps, each time thrown back to the newest
// checkpoint, a few steps before.
class KilledTest : public ResumeTest,
                   public ::testing::WithParamInterface<std::tuple<size_t, int>> {
 protected:
  static constexpr int kSteps = 12;
  static constexpr int kKills = 5;

  KilledTest() {
    ResumeCases()[std::get<0>(GetParam())].edit(spec_);
    spec_.training.steps = kSteps;
    spec_.checkpoint.every_steps = 2;
  }

  // Ascending; the last step of a job cannot be lost.
  static std::vector<int64_t> RandomSteps(uint64_t seed) {
    PhiloxStream random(seed, 0, 0);
    std::set<int64_t> steps;
    while (steps.size() < kKills) steps.insert(random.Below(kSteps - 1));
    return {steps.begin(), steps.end()};
  }

  // An attempt from `checkpoint` on (empty: the beginning) that ends with step `last`.
  std::vector<TinyRank> TrainUntil(int64_t last, const std::string& checkpoint,
                                   std::vector<absl::Status>& ends) const {
    return TrainTiny(
        spec_, world_size_,
        [last](TinyRank& rank, ProcessGroup*) {
          if (rank.trainer->next_step() == last) rank.link->stop = StopRequest::kStop;
        },
        &ends,
        [&](Assignment& assignment) {
          assignment.output_dir = RankFolder(assignment.rank);
          assignment.checkpoint_dir = checkpoint;
        });
  }

  // Steps done at the newest checkpoint that all ranks wrote; 0: there is none.
  int64_t NewestCheckpoint() const {
    for (int64_t step = kSteps; step > 0; --step) {
      int parts = 0;
      for (int rank = 0; rank < world_size_; ++rank)
        parts += fs::exists(PartOf(rank, step)) ? 1 : 0;
      if (parts == world_size_) return step;
    }
    return 0;
  }

  const int world_size_ = std::get<1>(GetParam());
  JobSpec spec_ = DroppingSpec();
};

TEST_P(KilledTest, EndsWithTheBitsOfAJobThatWasNotDisturbed) {
  const auto seed = 10 * std::get<0>(GetParam()) + static_cast<uint64_t>(world_size_);
  const std::vector<int64_t> kills = RandomSteps(seed);
  SCOPED_TRACE(absl::StrCat("seed ", seed, ": killed after steps ", absl::StrJoin(kills, ", ")));
  const std::vector<TinyRank> undisturbed = TrainTiny(spec_, world_size_);
  int64_t step = 0;
  std::string checkpoint;
  for (const int64_t last : kills) {
    std::vector<absl::Status> ends;
    const std::vector<TinyRank> attempt = TrainUntil(last, checkpoint, ends);
    for (int rank = 0; rank < world_size_; ++rank) {
      EXPECT_TRUE(absl::IsCancelled(ends[rank])) << ends[rank];
      EXPECT_THAT(attempt[rank].link->steps, SizeIs(last - step + 1));
      ExpectSameSteps(step, undisturbed[rank], attempt[rank]);
    }
    step = NewestCheckpoint();
    EXPECT_GE(step, last - 2) << "newest checkpoint";
    if (step > 0) checkpoint = Complete(spec_, world_size_, step);
  }
  const std::vector<TinyRank> rest = GoOn(spec_, world_size_, checkpoint);
  for (int rank = 0; rank < world_size_; ++rank)
    ExpectSameFrom(step, undisturbed[rank], rest[rank]);
}

INSTANTIATE_TEST_SUITE_P(Methods, KilledTest,
                         ::testing::Combine(::testing::Range<size_t>(0, ResumeCases().size()),
                                            ::testing::Values(1, 2)),
                         [](const auto& info) {
                           return absl::StrCat(ResumeCases()[std::get<0>(info.param)].name, "_on_",
                                               std::get<1>(info.param));
                         });

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
    Train(spec_, 2);
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
      tensors.erase(kEvaluationTensor);  // version 1 had none
      std::map<std::string, std::string> metadata = file->metadata();
      metadata["version"] = version;
      ASSERT_TRUE(hf::WriteSafetensors(path, tensors, metadata).ok());
    }
    Complete(spec_, 2, 3);
  };
  rewrite("1");
  EXPECT_TRUE(Load(spec_).ok()) << Load(spec_);
  rewrite("3");
  EXPECT_TRUE(absl::IsInvalidArgument(Load(spec_))) << Load(spec_);
  EXPECT_THAT(std::string(Load(spec_).message()), HasSubstr("found format version 3"));
}

TEST_F(RefusalTest, TakesNoCheckpointOfAnotherJob) {
  JobSpec other = spec_;
  other.training.learning_rate *= 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(Load(other))) << Load(other);
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
