#include "core/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace dropbp {
namespace {

// Known-answer vectors of Random123 (kat_vectors, philox4x32 10).
TEST(PhiloxTest, AgreesWithPublishedVectors) {
  EXPECT_EQ(Philox4x32(0, {0, 0, 0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32(~0ull, {~0u, ~0u, ~0u, ~0u}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32(0x299f31d0a4093822ull, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxStreamTest, CountsBlocksInTheFirstWordAndCarriesItsIdsInTheOthers) {
  PhiloxStream stream(7, 0x0000000200000003ull, 4);
  for (uint32_t block = 0; block < 3; ++block) {
    const PhiloxBlock expected = Philox4x32(7, {block, 3, 2, 4});
    for (uint32_t word : expected) EXPECT_EQ(stream.Next(), word);
  }
}

TEST(PhiloxStreamTest, DrawsEveryValueBelowABoundEquallyOften) {
  constexpr uint32_t kBound = 7;
  constexpr int kDraws = 700000;
  PhiloxStream stream(1, 2, 3);
  std::vector<int> counts(kBound);
  for (int i = 0; i < kDraws; ++i) {
    const uint32_t value = stream.Below(kBound);
    ASSERT_LT(value, kBound);
    ++counts[value];
  }
  const double share = 1.0 / kBound;
  const double sigma = std::sqrt(kDraws * share * (1 - share));
  for (int count : counts) EXPECT_NEAR(count, kDraws * share, 4 * sigma);
}

TEST(PhiloxStreamTest, RejectsWordsThatWouldFavourSomeValues) {
  // 3 * 2^30: without rejection the values that are multiples of 3 would come up twice as often.
  constexpr uint32_t kBound = 3u << 30;
  PhiloxStream stream(5, 0, 0);
  int multiples_of_three = 0;
  constexpr int kDraws = 300000;
  for (int i = 0; i < kDraws; ++i) multiples_of_three += stream.Below(kBound) % 3 == 0;
  EXPECT_NEAR(multiples_of_three, kDraws / 3.0, 4 * std::sqrt(kDraws * 2.0 / 9));
}

TEST(PhiloxStreamTest, HasOnlyZeroBelowOne) {
  PhiloxStream stream(1, 1, 1);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(stream.Below(1), 0u);
}

TEST(PhiloxStreamTest, DrawsUniformNumbersFromZeroToBelowOne) {
  constexpr int kDraws = 100000;
  PhiloxStream stream(9, 9, 9);
  double sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const float value = stream.Uniform();
    ASSERT_GE(value, 0.0f);
    ASSERT_LT(value, 1.0f);
    sum += value;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 4 * std::sqrt(1.0 / 12 / kDraws));
}

}  // namespace
}  // namespace dropbp
