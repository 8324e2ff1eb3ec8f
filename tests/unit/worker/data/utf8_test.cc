#include "worker/data/utf8.h"

#include <gtest/gtest.h>

namespace dropbp::data {
namespace {

TEST(Utf8Test, AcceptsEveryLengthOfCharacter) {
  const std::string text = "a\u00e9\u20ac\U0001F600 and more than eight bytes of ASCII";
  EXPECT_EQ(ValidUtf8Prefix(text), text.size());
}

TEST(Utf8Test, FindsTheFirstByteThatIsNotValid) {
  EXPECT_EQ(ValidUtf8Prefix("abc\xff"), 3u);
  EXPECT_EQ(ValidUtf8Prefix("ab\xc0\xaf"), 2u) << "overlong";
  EXPECT_EQ(ValidUtf8Prefix("\xe0\x80\x80"), 0u) << "overlong";
  EXPECT_EQ(ValidUtf8Prefix("a\xed\xa0\x80"), 1u) << "surrogate";
  EXPECT_EQ(ValidUtf8Prefix("\xf4\x90\x80\x80"), 0u) << "above U+10FFFF";
  EXPECT_EQ(ValidUtf8Prefix("a\xe2\x82"), 1u) << "cut";
  EXPECT_EQ(ValidUtf8Prefix("\x80"), 0u) << "continuation alone";
}

TEST(Utf8Test, ReadsBackWhatItWrites) {
  for (const char32_t code_point :
       {0x0u, 0x7fu, 0x80u, 0x7ffu, 0x800u, 0xffffu, 0x10000u, 0x10ffffu}) {
    std::string text;
    AppendUtf8(code_point, text);
    size_t position = 0;
    EXPECT_EQ(NextCodePoint(text, position), code_point);
    EXPECT_EQ(position, text.size());
  }
}

TEST(Utf8Test, ReplacesEachLongestBrokenBeginningOnce) {
  EXPECT_EQ(ReplaceInvalidUtf8("a\xe2\x82z"), "a\uFFFDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xf0\x9f\x98"), "\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xff\xfe"), "\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\u00e9"), "\u00e9");
}

}  // namespace
}  // namespace dropbp::data
