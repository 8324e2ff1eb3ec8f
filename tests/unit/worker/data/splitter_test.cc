#include "worker/data/splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Pieces(const Splitter& splitter, std::string_view text) {
  std::vector<size_t> ends;
  EXPECT_TRUE(splitter.Split(text, 0, ends).ok());
  std::vector<std::string> pieces;
  size_t begin = 0;
  for (size_t end : ends) {
    pieces.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

// Texts of characters that the patterns tell apart, so that every border occurs.
std::string RandomText(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {
      " ",      " ",      "  ",     "\n",     "\r",         "\r\n", "\t",      "\u00a0",
      "\u3000", "\u0085", "a",      "B",      "z",          "s",    "S",       "t",
      "re",     "lL",     "'",      "'s",     "'LL",        "'ve",  "'\u017f", "1",
      "23",     "4567",   "\u0663", "\u00bd", "\u2167",     "!",    ".",       "-",
      "\u00e9", "\u4e2d", "\u0301", "\u200d", "\U0001F600", "_",    "\u00df",  "\ufb05",
      "\u212a", "/",      "\u01c5", "\u02b0", "\u05d0"};
  std::string text;
  for (int i = static_cast<int>(random() % 12); i >= 0; --i)
    text += kPieces[random() % kPieces.size()];
  return text;
}

class ScannerTest : public testing::TestWithParam<std::string_view> {};

TEST_P(ScannerTest, CutsAsTheRegexEngineDoes) {
  const auto scanner = *PatternSplitter(GetParam());
  const auto regex = *RegexSplitter(GetParam());
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = RandomText(random);
    ASSERT_EQ(Pieces(*scanner, text), Pieces(*regex, text)) << testing::PrintToString(text);
  }
}

TEST_P(ScannerTest, CutsEveryCodePointAsTheRegexEngineDoes) {
  const auto scanner = *PatternSplitter(GetParam());
  const auto regex = *RegexSplitter(GetParam());
  // The engine knows Unicode 14: planes 0 and 1 up to where newer characters begin.
  for (char32_t code_point = 1; code_point < 0x1c80; ++code_point) {
    std::string character;
    AppendUtf8(code_point, character);
    const std::string text =
        "a" + character + " " + character + character + "1'" + character + "\n" + character;
    ASSERT_EQ(Pieces(*scanner, text), Pieces(*regex, text))
        << std::hex << static_cast<uint32_t>(code_point);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ScannerTest,
                         testing::Values(kGpt2Pattern, kLlama3Pattern, kQwen2Pattern,
                                         kTekkenPattern));

TEST(SplitterTest, CutsDigitsOneByOneOrInRuns) {
  EXPECT_THAT(Pieces(*DigitsSplitter(true), "a12\u0663 b"),
              ElementsAre("a", "1", "2", "\u0663", " b"));
  EXPECT_THAT(Pieces(*DigitsSplitter(false), "a12\u0663 b"), ElementsAre("a", "12\u0663", " b"));
  EXPECT_THAT(Pieces(*DigitsSplitter(true), ""), ElementsAre());
}

TEST(SplitterTest, KeepsWhatStandsBetweenMatches) {
  EXPECT_THAT(Pieces(**RegexSplitter("b+"), "abbc"), ElementsAre("a", "bb", "c"));
  EXPECT_THAT(Pieces(**RegexSplitter("b*"), "abbc"), ElementsAre("a", "bb", "c"));
  EXPECT_THAT(Pieces(**RegexSplitter("x*"), "a\u00e9c"), ElementsAre("a", "\u00e9", "c"));
}

TEST(SplitterTest, RefusesToRemoveWhatStandsBetweenMatches) {
  const auto splitter = *RegexSplitter("b+|c", Between::kRefused);
  EXPECT_THAT(Pieces(*splitter, "bbc"), ElementsAre("bb", "c"));
  std::vector<size_t> ends;
  EXPECT_THAT(splitter->Split("bbac", 0, ends).message(), HasSubstr("does not match \"ac\""));
  EXPECT_THAT(splitter->Split("bba", 0, ends).message(), HasSubstr("does not match \"a\""));
}

TEST(SplitterTest, CutsAtATextAndKeepsItBySide) {
  const auto pieces = [](Delimiter delimiter, std::string_view text) {
    return Pieces(*TextSplitter("_", delimiter), text);
  };
  EXPECT_THAT(pieces(Delimiter::kIsolated, "a__b_"), ElementsAre("a", "_", "_", "b", "_"));
  EXPECT_THAT(pieces(Delimiter::kMergedWithPrevious, "_a__b_"), ElementsAre("_", "a_", "_", "b_"));
  EXPECT_THAT(pieces(Delimiter::kMergedWithNext, "_a__b_"), ElementsAre("_a", "_", "_b", "_"));
  EXPECT_THAT(pieces(Delimiter::kIsolated, ""), ElementsAre());
}

TEST(SplitterTest, RefusesPatternsThatDoNotCompile) {
  EXPECT_THAT(RegexSplitter("(a").status().message(),
              HasSubstr("end pattern with unmatched parenthesis"));
  EXPECT_THAT(RegexSplitter(std::string(5000, 'a')).status().message(),
              HasSubstr("legal are at most 4096"));
}

TEST(SplitterTest, StopsAPatternThatBacktracksWithoutEnd) {
  const auto splitter = *RegexSplitter("(?:a|b|ab)*(?=!)");
  std::vector<size_t> ends;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "ab";
  const absl::Status status = splitter->Split(text + "?!", 0, ends);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(status.message(), HasSubstr("retry-limit"));
}

}  // namespace
}  // namespace dropbp::data
