#include "worker/trainer/train/plan_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/trainer/collective/run_ranks.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/trainer/train/sensitivity.h"

namespace dropbp::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

JobSpec HalfSpec() {
  JobSpec spec = TinySpec();
  spec.dropbp.drop_rate = 0.5;
  return spec;
}

DropPlan PlanAt(double rate, int32_t version, int64_t first_step) {
  const LayerTable table = *BuildLayerTable(TinyConfig().shape, HalfSpec(), 16);
  return *MakeDropPlan(table, std::vector<double>(kTinyUnits, rate), rate, version, first_step);
}

MaskBlock BlockOf(const DropPlan& plan, uint64_t seed) {
  return DrawMaskBlock(MaskPlan(plan, seed, MaskRows(HalfSpec())), plan.first_step, 8);
}

TEST(PlanKeeperTest, UsesThePlanThatCountsAtAStep) {
  MemoryLink link({}, nullptr);
  PlanKeeper keeper(HalfSpec(), nullptr, &link);
  ASSERT_TRUE(keeper.Adopt(PlanAt(0.5, 1, 0)).ok());
  ASSERT_TRUE(keeper.Adopt(PlanAt(0.7, 2, 4)).ok());
  EXPECT_EQ(keeper.PlanOf(3).version, 1);
  EXPECT_EQ(keeper.PlanOf(4).version, 2);
  EXPECT_EQ(link.plans.size(), 2u);
}

TEST(PlanKeeperTest, AcceptsTheCoordinatorsBlocksAlsoBeforeItsOwnPlan) {
  MemoryLink link({}, nullptr);
  PlanKeeper keeper(HalfSpec(), nullptr, &link);
  ASSERT_TRUE(keeper.Adopt(PlanAt(0.5, 1, 0)).ok());
  link.mask_blocks = {BlockOf(PlanAt(0.5, 1, 0), 11), BlockOf(PlanAt(0.7, 2, 4), 11)};
  EXPECT_TRUE(keeper.Rows(0).ok());
  ASSERT_TRUE(keeper.Adopt(PlanAt(0.7, 2, 4)).ok());
  EXPECT_TRUE(keeper.Rows(4).ok());
}

TEST(PlanKeeperTest, ABlockThatDiffersIsABrokenPromiseWithBothHashes) {
  const MaskBlock foreign = BlockOf(PlanAt(0.5, 1, 0), 12);
  const MaskBlock own = BlockOf(PlanAt(0.5, 1, 0), 11);
  MemoryLink link({}, nullptr);
  PlanKeeper keeper(HalfSpec(), nullptr, &link);
  ASSERT_TRUE(keeper.Adopt(PlanAt(0.5, 1, 0)).ok());
  link.mask_blocks = {foreign};
  const absl::Status status = keeper.Rows(0).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("steps 0 to 7"), HasSubstr(absl::StrCat(absl::Hex(foreign.hash))),
                    HasSubstr(absl::StrCat(absl::Hex(own.hash)))));
}

TEST(PlanKeeperTest, ABlockFoundBrokenIsABrokenPromise) {
  MaskBlock broken = BlockOf(PlanAt(0.5, 1, 0), 11);
  broken.bits[0] = static_cast<char>(broken.bits[0] ^ 1);
  MemoryLink link({}, nullptr);
  PlanKeeper keeper(HalfSpec(), nullptr, &link);
  ASSERT_TRUE(keeper.Adopt(PlanAt(0.5, 1, 0)).ok());
  link.mask_blocks = {broken};
  EXPECT_EQ(keeper.Rows(0).status().code(), absl::StatusCode::kInternal);
}

TEST(PlanKeeperTest, RanksWithDifferentPlansStopWithBothHashes) {
  RunRanks(2, [](int rank, ProcessGroup* group) {
    MemoryLink link({}, nullptr);
    PlanKeeper keeper(HalfSpec(), group, &link);
    const absl::Status status = keeper.Adopt(PlanAt(rank == 0 ? 0.5 : 0.7, 1, 0));
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(absl::StrCat(absl::Hex(PlanHash(PlanAt(0.5, 1, 0))))),
                      HasSubstr(absl::StrCat(absl::Hex(PlanHash(PlanAt(0.7, 1, 0)))))));
    EXPECT_TRUE(link.plans.empty());
  });
}

}  // namespace
}  // namespace dropbp::trainer
