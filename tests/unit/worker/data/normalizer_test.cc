#include "worker/data/normalizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::data {
namespace {

TEST(NormalizerTest, ComposesAndKeepsTheWayBack) {
  const std::string text = "abc e\u0301 xyz \u4e2d\u6587 \u1100\u1161 end";
  const auto normalized = NormalizeNfc(text);
  ASSERT_TRUE(normalized.ok());
  EXPECT_EQ(normalized->text, "abc \u00e9 xyz \u4e2d\u6587 \uac00 end");
  EXPECT_EQ(normalized->OriginalOffset(0), 0u);
  EXPECT_EQ(normalized->OriginalOffset(4), 4u);
  EXPECT_EQ(normalized->OriginalOffset(6), 7u) << "behind the composed letter";
  EXPECT_EQ(normalized->OriginalOffset(7), 8u);
  EXPECT_EQ(normalized->OriginalOffset(normalized->text.size()), text.size());
}

TEST(NormalizerTest, OrdersMarksAcrossAWholeRun) {
  // The cedilla belongs before the acute, so that c takes it and the acute follows.
  const auto normalized = NormalizeNfc("c\u0301\u0327");
  ASSERT_TRUE(normalized.ok());
  EXPECT_EQ(normalized->text, "\u1e09");
}

TEST(NormalizerTest, LeavesMarksThatAreNewerThanTheReferenceWhereTheyAre) {
  // U+09FE would move behind U+093C, and U+11935 with U+11930 compose.
  EXPECT_EQ(NormalizeNfc("a\u09fe\u093c")->text, "a\u09fe\u093c");
  EXPECT_EQ(NormalizeNfc("\U00011935\U00011930")->text, "\U00011935\U00011930");
  EXPECT_EQ(NormalizeNfc("\u09fe")->text, "\u09fe");
  EXPECT_EQ(NormalizeNfc("\u09fee\u0301")->text, "\u09fe\u00e9");
  EXPECT_EQ(NormalizeNfc("\u09fe\u0301\u0327\u09fe")->text, "\u09fe\u0327\u0301\u09fe");
}

TEST(NormalizerTest, LeavesTextInFormCAlone) {
  for (const std::string text : {"", "plain", "\u00e9t\u00e9", "\u4e2d", "a\u0300\u4e2d"}) {
    const auto normalized = NormalizeNfc(text);
    ASSERT_TRUE(normalized.ok());
    EXPECT_EQ(normalized->OriginalOffset(normalized->text.size()), text.size());
  }
  EXPECT_EQ(NormalizeNfc("\u00e9t\u00e9")->text, "\u00e9t\u00e9");
}

TEST(NormalizerTest, RefusesStepsThatMakeATextGrowWithoutEnd) {
  Normalizer normalizer;
  for (int i = 0; i < 16; ++i) normalizer.Add(Normalizer::Replace{"a", "aaaa"});
  EXPECT_FALSE(normalizer.Apply("aaa").ok());
}

TEST(NormalizerTest, MapsThroughAChainOfSteps) {
  Normalizer normalizer;
  normalizer.Add(Normalizer::Prepend{"_"});
  normalizer.Add(Normalizer::Replace{" ", "__"});
  const auto steps = normalizer.Apply("a  b");
  ASSERT_TRUE(steps.ok());
  EXPECT_EQ(steps->back().text, "_a____b");
  std::vector<size_t> ends = {0, 1, 2, 4, 6, 7};
  for (auto step = steps->rbegin(); step != steps->rend(); ++step)
    step->MapToOriginal(absl::MakeSpan(ends));
  EXPECT_THAT(ends, testing::ElementsAre(0, 0, 1, 2, 3, 4));
  EXPECT_EQ(normalizer.Apply("")->back().text, "");
}

}  // namespace
}  // namespace dropbp::data
