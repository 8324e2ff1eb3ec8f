#include <gtest/gtest.h>

#include <set>

#include "core/plan/mask_plan.h"

namespace dropbp {
namespace {

JobSpec TwoRanksWithThreeMicroSteps(const char* masks) {
  JobSpec spec;
  spec.training.global_batch_size = 24;
  spec.training.micro_batch_size = 4;
  spec.resources.ranks = 2;
  spec.dropbp.masks = masks;
  return spec;
}

TEST(MaskRowsTest, GivesEachMicroBatchOfEachRankARowOfItsOwnWhenBalanced) {
  const JobSpec spec = TwoRanksWithThreeMicroSteps("balanced");
  EXPECT_EQ(MaskRows(spec), 6);
  std::set<int> rows;
  for (int rank = 0; rank < 2; ++rank) {
    for (int micro_step = 0; micro_step < 3; ++micro_step)
      rows.insert(MaskRowIndex(spec, rank, micro_step));
  }
  EXPECT_EQ(rows, (std::set<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(MaskRowIndex(spec, 1, 0), 3);
}

TEST(MaskRowsTest, GivesAllRanksTheSameRowWhenShared) {
  const JobSpec spec = TwoRanksWithThreeMicroSteps("shared");
  EXPECT_EQ(MaskRows(spec), 3);
  for (int micro_step = 0; micro_step < 3; ++micro_step) {
    EXPECT_EQ(MaskRowIndex(spec, 0, micro_step), micro_step);
    EXPECT_EQ(MaskRowIndex(spec, 1, micro_step), micro_step);
  }
}

TEST(MaskRowsTest, ResolvesAutoByMethod) {
  JobSpec spec = TwoRanksWithThreeMicroSteps("auto");
  EXPECT_EQ(MaskRows(spec), 6);
  spec.method = "full";
  EXPECT_EQ(MaskRows(spec), 3);
}

TEST(MaskRowsDeathTest, EndsTheProcessForARankOrMicroStepThatDoesNotExist) {
  const JobSpec spec = TwoRanksWithThreeMicroSteps("balanced");
  EXPECT_DEATH(MaskRowIndex(spec, 2, 0), "CHECK failed");
  EXPECT_DEATH(MaskRowIndex(spec, 0, 3), "CHECK failed");
}

}  // namespace
}  // namespace dropbp
