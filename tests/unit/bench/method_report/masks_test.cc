#include "bench/method_report/masks.h"

#include <gtest/gtest.h>

#include "bench/method_report/models.h"

namespace dropbp::bench {
namespace {

DropPlan UniformPlan(double rate) {
  const LayerTable table = TableOf(Llama2With7B(), "lora");
  return *MakeDropPlan(table, std::vector<double>(table.units.size(), rate), rate, 1, 0);
}

TEST(LargestMarginalZTest, IsSmallForTheRuler) {
  EXPECT_LT(LargestMarginalZ(UniformPlan(0.75), 5000), 4);
}

TEST(LargestMarginalZTest, IsZeroWhereNothingIsDropped) {
  EXPECT_EQ(LargestMarginalZ(UniformPlan(0), 100), 0);
}

TEST(CountsOutsideFloorCeilTest, AreNone) {
  EXPECT_EQ(CountsOutsideFloorCeil(UniformPlan(0.5), 8, 500), 0);
  EXPECT_EQ(CountsOutsideFloorCeil(UniformPlan(0.875), 3, 500), 0);
}

TEST(MaskSectionTest, TimesTheRulerAndNestedMasks) {
  const Section section = *MaskSection(50);
  ASSERT_EQ(section.rows.size(), 8u);
  for (const auto& row : section.rows) {
    EXPECT_GT(row["ns_per_row_1"], 0);
    EXPECT_GT(row["ns_per_row_8"], 0);
    EXPECT_EQ(row.contains("largest_z"), row["masks"] == "ruler");
  }
}

}  // namespace
}  // namespace dropbp::bench
