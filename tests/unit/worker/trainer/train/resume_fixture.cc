#include "tests/unit/worker/trainer/train/resume_fixture.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"

namespace dropbp::trainer {
namespace {

using ::testing::SizeIs;

void ExpectSameMoments(const TinyRank& a, const TinyRank& b) {
  const auto& left = a.trainer->optimizer().states();
  const auto& right = b.trainer->optimizer().states();
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(at::equal(left[i].first_moment, right[i].first_moment)) << i;
    EXPECT_TRUE(at::equal(left[i].second_moment, right[i].second_moment)) << i;
    EXPECT_TRUE(at::equal(left[i].step, right[i].step)) << i;
  }
}

}  // namespace

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

void ResumeTest::SetUp() { at::set_num_threads(1); }

std::string ResumeTest::PartOf(int rank, int64_t step) const {
  return absl::StrCat(RankFolder(rank), "/checkpoints/step-", step, ".safetensors");
}

std::vector<TinyRank> ResumeTest::Train(
    const JobSpec& spec, int world_size,
    const std::function<void(TinyRank&, ProcessGroup*)>& before_step,
    std::vector<absl::Status>* statuses) const {
  return TrainTiny(spec, world_size, before_step, statuses, [this](Assignment& assignment) {
    assignment.output_dir = RankFolder(assignment.rank);
  });
}

std::vector<TinyRank> ResumeTest::GoOn(const JobSpec& spec, int world_size,
                                       const std::string& checkpoint,
                                       std::vector<absl::Status>* statuses) {
  return TrainTiny(spec, world_size, nullptr, statuses,
                   [&](Assignment& assignment) { assignment.checkpoint_dir = checkpoint; });
}

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

void ExpectSameFrom(int64_t step, const TinyRank& undisturbed, const TinyRank& resumed) {
  EXPECT_THAT(resumed.link->steps,
              SizeIs(undisturbed.link->steps.size() - static_cast<size_t>(step)));
  ExpectSameSteps(step, undisturbed, resumed);
  ExpectSameMoments(undisturbed, resumed);
}

}  // namespace dropbp::trainer
