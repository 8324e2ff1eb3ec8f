#include "core/base/text.h"

#include <gtest/gtest.h>

namespace dropbp {
namespace {

TEST(ToValidUtf8Test, KeepsValidTextOfEveryLength) {
  const std::string text = "a\x7f é € 𝄞 \xf4\x8f\xbf\xbf";
  EXPECT_EQ(ToValidUtf8(text), text);
  EXPECT_EQ(ToValidUtf8(""), "");
  EXPECT_EQ(ToValidUtf8(std::string("a\0b", 3)), std::string("a\0b", 3));
}

TEST(ToValidUtf8Test, ReplacesEachBadByte) {
  EXPECT_EQ(ToValidUtf8("a\xff"
                        "b"),
            "a?b");                                    // never a lead byte
  EXPECT_EQ(ToValidUtf8("\x80"), "?");                 // continuation without a lead
  EXPECT_EQ(ToValidUtf8("\xc0\xaf"), "??");            // overlong
  EXPECT_EQ(ToValidUtf8("\xe0\x9f\xbf"), "???");       // overlong
  EXPECT_EQ(ToValidUtf8("\xed\xa0\x80"), "???");       // surrogate
  EXPECT_EQ(ToValidUtf8("\xf0\x8f\xbf\xbf"), "????");  // overlong
  EXPECT_EQ(ToValidUtf8("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
  EXPECT_EQ(ToValidUtf8("x\xe2\x82"), "x??");          // cut off
}

TEST(ExcerptTest, IsShortAndValid) {
  EXPECT_EQ(Excerpt(std::string(70, 'a') + "\xff"), std::string(57, 'a') + "...");
}

TEST(ShortenedTest, KeepsWhatFits) { EXPECT_EQ(Shortened("abcde", 5), "abcde"); }

TEST(ShortenedTest, CutsBetweenCharactersAndSaysSo) {
  EXPECT_EQ(Shortened("abcdef", 5), "ab...");
  EXPECT_EQ(Shortened("aéé", 4), "a...");  // 5 bytes; the cut would fall inside the first é
  EXPECT_EQ(Shortened("abcdef", 2), "..");
  EXPECT_EQ(Shortened("abcdef", 0), "");
}

}  // namespace
}  // namespace dropbp
