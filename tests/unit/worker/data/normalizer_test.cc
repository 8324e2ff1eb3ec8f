#include "worker/data/normalizer.h"

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

TEST(NormalizerTest, LeavesTextInFormCAlone) {
  for (const std::string text : {"", "plain", "\u00e9t\u00e9", "\u4e2d", "a\u0300\u4e2d"}) {
    const auto normalized = NormalizeNfc(text);
    ASSERT_TRUE(normalized.ok());
    EXPECT_EQ(normalized->OriginalOffset(normalized->text.size()), text.size());
  }
  EXPECT_EQ(NormalizeNfc("\u00e9t\u00e9")->text, "\u00e9t\u00e9");
}

}  // namespace
}  // namespace dropbp::data
