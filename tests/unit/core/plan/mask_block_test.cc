#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/mask_plan.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

MaskPlan SmallMasks() {
  const LayerTable table = TableOf(SmolLm2());
  const auto plan = MakeDropPlan(table, std::vector<double>(table.units.size(), 0.75), 0.75, 2, 0);
  return MaskPlan(*plan, 9, 2);
}

std::string ErrorOf(const MaskBlock& block) {
  return std::string(VerifyMaskBlock(block).message());
}

TEST(PackMaskRowsTest, PutsUnitUAtBitUOfItsRowAndPadsRowsToBytes) {
  MaskRow first(9);
  first[0] = first[3] = first[8] = true;
  const std::string bits = PackMaskRows({first, MaskRow(9, true)});
  EXPECT_EQ(bits, std::string("\x09\x01\xff\x01", 4));
}

TEST(MaskHashTest, DiffersForDifferentRows) {
  EXPECT_NE(MaskHash({MaskRow(8)}), MaskHash({MaskRow(8, true)}));
  EXPECT_NE(MaskHash({MaskRow(8)}), MaskHash({MaskRow(8), MaskRow(8)}));
}

TEST(MaskBlockTest, HoldsWhatThePlanDraws) {
  const MaskPlan masks = SmallMasks();
  const MaskBlock block = DrawMaskBlock(masks, 100, 20);
  EXPECT_TRUE(VerifyMaskBlock(block).ok());
  EXPECT_EQ(block.plan_version, 2);
  EXPECT_EQ(block.units, 60);
  EXPECT_EQ(block.bits.size(), 20u * 2 * 8);
  EXPECT_EQ(block.keep_rates, masks.plan().keep_rates);
  for (int64_t step = 100; step < 120; ++step) EXPECT_EQ(UnpackStep(block, step), masks.Draw(step));
}

TEST(MaskBlockTest, ShowsEveryFlippedByte) {
  const MaskBlock good = DrawMaskBlock(SmallMasks(), 0, 4);
  for (size_t byte = 0; byte < good.bits.size(); ++byte) {
    for (int mask = 1; mask < 256; ++mask) {
      MaskBlock bad = good;
      bad.bits[byte] = static_cast<char>(bad.bits[byte] ^ mask);
      ASSERT_THAT(ErrorOf(bad), HasSubstr("found hash")) << byte;
    }
  }
  for (size_t unit = 0; unit < good.keep_rates.size(); ++unit) {
    for (int bit = 0; bit < 32; ++bit) {
      MaskBlock bad = good;
      bad.keep_rates[unit] ^= 1u << bit;
      ASSERT_THAT(ErrorOf(bad), HasSubstr("found hash")) << unit;
    }
  }
}

TEST(MaskBlockTest, ShowsEveryChangedNumber) {
  const MaskBlock good = DrawMaskBlock(SmallMasks(), 8, 4);
  MaskBlock bad = good;
  bad.plan_version = 3;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("found hash"));
  bad = good;
  bad.first_step = 9;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("found hash"));
  bad = good;
  bad.hash ^= 1;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("mask block of steps 8 to 11: found hash"));
  bad = good;
  std::swap(bad.steps, bad.rows);  // sizes still fit
  EXPECT_THAT(ErrorOf(bad), HasSubstr("found hash"));
}

TEST(MaskBlockTest, RefusesSizesThatDoNotFit) {
  const MaskBlock good = DrawMaskBlock(SmallMasks(), 0, 4);
  MaskBlock bad = good;
  bad.steps = 5;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("found 64 bytes, legal is 10 rows of 8"));
  bad = good;
  bad.steps = bad.rows = INT32_MAX;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("legal is 4611686014132420609 rows of 8"));
  bad = good;
  bad.keep_rates.pop_back();
  EXPECT_THAT(ErrorOf(bad), HasSubstr("found 59 keep rates, legal is 60"));
  for (int32_t MaskBlock::*number : {&MaskBlock::steps, &MaskBlock::rows, &MaskBlock::units}) {
    bad = good;
    bad.*number = 0;
    EXPECT_THAT(ErrorOf(bad), HasSubstr("legal is first step 0"));
    bad.*number = -1;
    EXPECT_THAT(ErrorOf(bad), HasSubstr("legal is first step 0"));
  }
  bad = good;
  bad.first_step = INT64_MAX;
  EXPECT_THAT(ErrorOf(bad), HasSubstr("legal is first step 0"));
  EXPECT_FALSE(VerifyMaskBlock(MaskBlock()).ok());
}

TEST(MaskBlockDeathTest, EndsTheProcessForAStepOutsideTheBlock) {
  const MaskBlock block = DrawMaskBlock(SmallMasks(), 10, 2);
  EXPECT_DEATH(UnpackStep(block, 9), "CHECK failed");
  EXPECT_DEATH(UnpackStep(block, 12), "CHECK failed");
}

}  // namespace
}  // namespace dropbp
