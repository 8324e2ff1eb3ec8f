#include "worker/trainer/collective/process_group.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "tests/unit/worker/trainer/collective/run_ranks.h"

namespace dropbp::trainer {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ProcessGroupTest, SumsATensorOverAllRanks) {
  RunRanks(3, [](int rank, ProcessGroup* group) {
    at::Tensor flat = at::full({5}, rank + 1.0f);
    auto pending = group->StartAllReduceSum(flat);
    ASSERT_TRUE(pending.ok()) << pending.status();
    ASSERT_TRUE((*pending)->Wait().ok());
    EXPECT_TRUE(at::equal(flat, at::full({5}, 6.0f)));
  });
}

TEST(ProcessGroupTest, KeepsSeveralReductionsInFlight) {
  RunRanks(2, [](int rank, ProcessGroup* group) {
    std::vector<at::Tensor> tensors;
    std::vector<std::unique_ptr<PendingCollective>> pending;
    for (int i = 0; i < 8; ++i) {
      tensors.push_back(at::full({100 * (i + 1)}, static_cast<float>(rank * i)));
      auto started = group->StartAllReduceSum(tensors.back());
      ASSERT_TRUE(started.ok());
      pending.push_back(*std::move(started));
    }
    for (int i = 0; i < 8; ++i) {
      ASSERT_TRUE(pending[i]->Wait().ok());
      EXPECT_EQ(tensors[i].sum().item<float>(), 100.0f * (i + 1) * i);
    }
  });
}

TEST(ProcessGroupTest, GathersSmallVectorsByRank) {
  RunRanks(2, [](int rank, ProcessGroup* group) {
    const std::vector<int64_t> numbers = {rank, int64_t{1} << 62};
    auto gathered = group->AllGather(absl::MakeConstSpan(numbers));
    ASSERT_TRUE(gathered.ok());
    EXPECT_THAT(*gathered,
                ElementsAre(ElementsAre(0, int64_t{1} << 62), ElementsAre(1, int64_t{1} << 62)));

    const std::vector<double> reals = {rank + 0.1};
    auto doubles = group->AllGather(absl::MakeConstSpan(reals));
    ASSERT_TRUE(doubles.ok());
    EXPECT_THAT(*doubles, ElementsAre(ElementsAre(0.1), ElementsAre(1.1)));
  });
}

TEST(ProcessGroupTest, ALostPeerIsUnavailableForGoodAndTheErrorSaysWhere) {
  RunRanks(
      2,
      [](int rank, ProcessGroup* group) {
        if (rank == 1) return;  // leaves: its connections close
        group->SetStep(7);
        at::Tensor flat = at::ones({4});
        auto pending = group->StartAllReduceSum(flat);
        const absl::Status status = pending.ok() ? (*pending)->Wait() : pending.status();
        EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
        EXPECT_THAT(std::string(status.message()),
                    AllOf(HasSubstr("rank 0 of 2"), HasSubstr("step 7"), HasSubstr("all-reduce")));
        group->SetStep(8);
        EXPECT_EQ(group->Barrier(), status);
      },
      absl::Seconds(20));
}

TEST(ProcessGroupTest, APeerThatNeverComesIsUnavailable) {
  auto group = MakeProcessGroup({.rank = 0, .world_size = 2, .timeout = absl::Milliseconds(300)},
                                MakeMemoryStore());
  EXPECT_EQ(group.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(group.status().message()), HasSubstr("rank 0 of 2, rendezvous on cpu"));
}

TEST(ProcessGroupTest, NcclWorksOnOneGpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU on this machine";
  auto group =
      MakeProcessGroup({.rank = 0, .world_size = 1, .device = "cuda:0"}, MakeMemoryStore());
  ASSERT_TRUE(group.ok()) << group.status();
  at::Tensor flat = at::ones({1000}, at::kCUDA);
  auto pending = (*group)->StartAllReduceSum(flat);
  ASSERT_TRUE(pending.ok()) << pending.status();
  ASSERT_TRUE((*pending)->Wait().ok());
  EXPECT_EQ(flat.sum().item<float>(), 1000);
  const std::vector<double> reals = {2.5};
  EXPECT_THAT(*(*group)->AllGather(absl::MakeConstSpan(reals)), ElementsAre(ElementsAre(2.5)));
}

}  // namespace
}  // namespace dropbp::trainer
