// A job whose processes are killed again and again, with every way to train.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/philox.h"
#include "tests/unit/worker/trainer/train/resume_fixture.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::SizeIs;

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

}  // namespace
}  // namespace dropbp::trainer
