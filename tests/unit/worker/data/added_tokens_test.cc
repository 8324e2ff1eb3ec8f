#include "worker/data/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::data {
namespace {

using testing::ElementsAre;

AddedToken Token(TokenId id, const std::string& content) {
  AddedToken token;
  token.id = id;
  token.content = content;
  token.pattern = content;
  return token;
}

// Segments as text: "7:<x>" for a token, "-:..." for what stands between.
std::vector<std::string> Split(const std::vector<AddedToken>& tokens, std::string_view text) {
  std::vector<std::string> segments;
  for (const Segment& segment : AddedTokenMatcher(tokens).Split(text)) {
    const std::string id = segment.id < 0 ? "-" : std::to_string(segment.id);
    segments.push_back(id + ":" +
                       std::string(text.substr(segment.begin, segment.end - segment.begin)));
  }
  return segments;
}

TEST(AddedTokensTest, FindsTheLeftmostAndOfThoseTheLongest) {
  const std::vector<AddedToken> tokens = {Token(1, "<a>"), Token(2, "<a>b"), Token(3, "b<"),
                                          Token(4, "a>b<c")};
  EXPECT_THAT(Split(tokens, "x<a>b<c"), ElementsAre("-:x", "2:<a>b", "-:<c"));
  EXPECT_THAT(Split(tokens, "xb<a>"), ElementsAre("-:x", "3:b<", "-:a>"));
  EXPECT_THAT(Split(tokens, "<a><a>"), ElementsAre("1:<a>", "1:<a>"));
  EXPECT_THAT(Split(tokens, ""), ElementsAre());
}

TEST(AddedTokensTest, TakesWhiteSpaceAsTheFlagsSay) {
  AddedToken left = Token(1, "[L]");
  left.lstrip = true;
  AddedToken right = Token(2, "[R]");
  right.rstrip = true;
  EXPECT_THAT(Split({left, right}, "a \u3000[L] b"), ElementsAre("-:a", "1: \u3000[L]", "-: b"));
  EXPECT_THAT(Split({left, right}, "a [R] \n b"), ElementsAre("-:a ", "2:[R] \n ", "-:b"));
  EXPECT_THAT(Split({left, right}, "[R]  [L]"), ElementsAre("2:[R]  ", "1:[L]"));
}

TEST(AddedTokensTest, FindsSingleWordsOnlyByThemselves) {
  AddedToken word = Token(1, "word");
  word.single_word = true;
  EXPECT_THAT(Split({word}, "word, sword words word_ \u00e9word (word)"),
              ElementsAre("1:word", "-:, sword words word_ \u00e9word (", "1:word", "-:)"));
}

}  // namespace
}  // namespace dropbp::data
