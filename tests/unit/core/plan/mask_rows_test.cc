#include <gtest/gtest.h>

#include <set>
#include <tuple>

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

// One group a micro-batch, so that rows are micro-batches.
JobSpec Ungrouped(const char* masks) {
  JobSpec spec = TwoRanksWithThreeMicroSteps(masks);
  spec.dropbp.mask_groups = 1;
  return spec;
}

// Every row that some (rank, micro-step, group) uses.
std::multiset<int> RowsInUse(const JobSpec& spec) {
  std::multiset<int> rows;
  for (int rank = 0; rank < 2; ++rank) {
    for (int micro_step = 0; micro_step < 3; ++micro_step) {
      for (int group = 0; group < MaskGroups(spec); ++group)
        rows.insert(MaskRowIndex(spec, rank, micro_step, group));
    }
  }
  return rows;
}

// {0, 1, ..., count - 1}, each `times` times.
std::multiset<int> EachRow(int count, int times) {
  std::multiset<int> rows;
  for (int row = 0; row < count; ++row) {
    for (int i = 0; i < times; ++i) rows.insert(row);
  }
  return rows;
}

TEST(MaskRowsTest, GivesEachMicroBatchOfEachRankARowOfItsOwnWhenBalanced) {
  const JobSpec spec = Ungrouped("balanced");
  EXPECT_EQ(MaskRows(spec), 6);
  EXPECT_EQ(RowsInUse(spec), EachRow(6, 1));
  EXPECT_EQ(MaskRowIndex(spec, 1, 0, 0), 3);
}

TEST(MaskRowsTest, GivesAllRanksTheSameRowWhenShared) {
  const JobSpec spec = Ungrouped("shared");
  EXPECT_EQ(MaskRows(spec), 3);
  EXPECT_EQ(RowsInUse(spec), EachRow(3, 2));
  for (int micro_step = 0; micro_step < 3; ++micro_step) {
    EXPECT_EQ(MaskRowIndex(spec, 0, micro_step, 0), micro_step);
    EXPECT_EQ(MaskRowIndex(spec, 1, micro_step, 0), micro_step);
  }
}

TEST(MaskRowsTest, GivesTheWholeStepOneRowWhenSingle) {
  const JobSpec spec = Ungrouped("single");
  EXPECT_EQ(MaskRows(spec), 1);
  EXPECT_EQ(RowsInUse(spec), EachRow(1, 6));
}

TEST(MaskRowsTest, GivesEachGroupOfAMicroBatchARowOfItsOwn) {
  for (const auto& [masks, rows, uses] :
       {std::tuple{"balanced", 12, 1}, std::tuple{"shared", 6, 2}, std::tuple{"single", 2, 6}}) {
    JobSpec spec = TwoRanksWithThreeMicroSteps(masks);
    spec.dropbp.mask_groups = 2;
    EXPECT_EQ(MaskGroups(spec), 2);
    EXPECT_EQ(MaskRows(spec), rows) << masks;
    EXPECT_EQ(RowsInUse(spec), EachRow(rows, uses)) << masks;
  }
}

TEST(MaskRowsTest, ChoosesTheLargestDivisorUpToEightAsGroupsOfBalancedMasks) {
  JobSpec spec = TwoRanksWithThreeMicroSteps("balanced");
  for (const auto& [micro_batch, groups] :
       {std::pair{1, 1}, std::pair{2, 2}, std::pair{3, 3}, std::pair{4, 4}, std::pair{8, 8},
        std::pair{9, 3}, std::pair{10, 5}, std::pair{11, 1}, std::pair{12, 6}, std::pair{16, 8}}) {
    spec.training.micro_batch_size = micro_batch;
    EXPECT_EQ(MaskGroups(spec), groups) << micro_batch;
  }
  spec.training.micro_batch_size = 4;
  for (const char* masks : {"shared", "single"}) {
    spec.dropbp.masks = masks;
    EXPECT_EQ(MaskGroups(spec), 1) << masks;
  }
}

TEST(MaskRowsTest, ResolvesAutoByMethod) {
  JobSpec spec = Ungrouped("auto");
  EXPECT_EQ(MaskRows(spec), 6);
  spec.method = "full";
  EXPECT_EQ(MaskRows(spec), 3);
}

TEST(MaskRowsDeathTest, EndsTheProcessForARankMicroStepOrGroupThatDoesNotExist) {
  const JobSpec spec = Ungrouped("balanced");
  EXPECT_DEATH(MaskRowIndex(spec, 2, 0, 0), "CHECK failed");
  EXPECT_DEATH(MaskRowIndex(spec, 0, 3, 0), "CHECK failed");
  EXPECT_DEATH(MaskRowIndex(spec, 0, 0, 1), "CHECK failed");
}

}  // namespace
}  // namespace dropbp
