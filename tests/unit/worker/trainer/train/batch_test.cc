#include "worker/trainer/train/batch.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/trainer/train/failure.h"

namespace dropbp::trainer {
namespace {

using ::testing::HasSubstr;

TEST(BatchTest, PadsToTheLongestAndShiftsTargets) {
  std::vector<data::Sample> samples(2);
  samples[0].ids = {5, 6, 7, 8};
  samples[0].supervised = {false, false, true, true};
  samples[1].ids = {9, 4};
  samples[1].supervised = {false, true};
  const MicroBatch batch = MakeMicroBatch(samples, {1, 0}, at::kCPU);
  EXPECT_TRUE(at::equal(batch.ids, at::tensor({9, 4, 0, 0, 5, 6, 7, 8}, at::kLong).view({2, 4})));
  EXPECT_TRUE(at::equal(
      batch.targets, at::tensor({4, -100, -100, -100, -100, 7, 8, -100}, at::kLong).view({2, 4})));
  EXPECT_EQ(batch.positions(), 8);
}

TEST(BatchTest, PacksSamplesIntoARowWithoutALossFromOneToTheNext) {
  std::vector<data::Sample> samples(3);
  samples[0].ids = {5, 6, 7};
  samples[0].supervised = {false, true, true};
  samples[1].ids = {9, 4};
  samples[1].supervised = {false, true};
  samples[2].ids = {8, 3, 2, 1};
  samples[2].supervised = {false, false, false, true};
  const MicroBatch batch = StackRows(samples, {{0, 1}, {2}}, at::kCPU);
  EXPECT_TRUE(
      at::equal(batch.ids, at::tensor({5, 6, 7, 9, 4, 8, 3, 2, 1, 0}, at::kLong).view({2, 5})));
  EXPECT_TRUE(at::equal(
      batch.targets,
      at::tensor({6, 7, -100, 4, -100, -100, -100, 1, -100, -100}, at::kLong).view({2, 5})));
  EXPECT_EQ(batch.segments, (RowSegments{{3, 2}, {4}}));
  EXPECT_TRUE(StackRows(samples, {{0}, {2}}, at::kCPU).segments.empty()) << "nothing is shared";
}

TEST(BatchTest, CountsTheTokensOfPackedSamples) {
  JobSpec spec = TinySpec();
  spec.dataset.packing = true;
  const auto dataset = TinyDataset(spec);
  const StepBatch batch = BatchLoader(dataset, spec.training, 0, 1, at::kCPU).Load(1);
  int64_t padding = 0, targets = 0;
  for (const MicroBatch& micro : batch.micro_batches) {
    targets += (micro.targets != -100).sum().item<int64_t>();
    for (const auto& row : micro.segments)
      padding += micro.ids.size(1) - std::accumulate(row.begin(), row.end(), int64_t{0});
  }
  EXPECT_LE(padding, 8 * 16 - batch.tokens);
  EXPECT_EQ(targets, batch.supervised_tokens);
  EXPECT_GT(batch.tokens, 8 * 12) << "eight rows of up to 16 tokens, samples have 5 to 12";
}

TEST(BatchTest, RanksShareTheGlobalBatchAndKnowItsCounts) {
  const auto dataset = TinyDataset();
  const TrainingSpec spec = TinySpec().training;
  const StepBatch whole = BatchLoader(dataset, spec, 0, 1, at::kCPU).Load(5);
  ASSERT_EQ(whole.micro_batches.size(), 4u);
  for (int rank = 0; rank < 2; ++rank) {
    BatchLoader loader(dataset, spec, rank, 2, at::kCPU);
    const StepBatch part = loader.Load(5);
    EXPECT_EQ(loader.micro_steps(), 2);
    EXPECT_EQ(part.tokens, whole.tokens);
    EXPECT_EQ(part.supervised_tokens, whole.supervised_tokens);
    for (int m = 0; m < 2; ++m) {
      EXPECT_TRUE(at::equal(part.micro_batches[m].ids, whole.micro_batches[2 * rank + m].ids));
    }
  }
}

TEST(BatchTest, SupervisedTokensAreTheTargetsThatCarryLoss) {
  const auto dataset = TinyDataset();
  const StepBatch batch = BatchLoader(dataset, TinySpec().training, 0, 1, at::kCPU).Load(0);
  int64_t targets = 0;
  for (const MicroBatch& micro : batch.micro_batches)
    targets += (micro.targets != -100).sum().item<int64_t>();
  EXPECT_EQ(targets, batch.supervised_tokens);
}

TEST(FailureTest, OutOfMemorySaysWhatToChange) {
  const absl::Status status = RunTorch("rank 0, step 3", [] {
    at::empty({int64_t{1} << 60});
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("training.micro_batch_size"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("training.activation_checkpointing"));
  EXPECT_EQ(KindOf(status), FailureKind::kUserError);
}

TEST(FailureTest, TorchsExceptionsAreBrokenPromises) {
  const absl::Status status = RunTorch("rank 0, step 3", [] {
    at::ones({2}).view({3});
    return absl::OkStatus();
  });
  EXPECT_EQ(KindOf(status), FailureKind::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("rank 0, step 3: "));
}

TEST(FailureTest, ALostPeerIsWorthAnotherAttempt) {
  EXPECT_EQ(KindOf(absl::UnavailableError("")), FailureKind::kRetryable);
  EXPECT_EQ(KindOf(absl::InvalidArgumentError("")), FailureKind::kUserError);
  EXPECT_EQ(KindOf(absl::NotFoundError("")), FailureKind::kUserError);
}

}  // namespace
}  // namespace dropbp::trainer
