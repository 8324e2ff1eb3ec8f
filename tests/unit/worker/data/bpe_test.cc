#include "worker/data/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

namespace dropbp::data {
namespace {

using testing::ElementsAre;

BpeParts Parts(const std::vector<std::string>& tokens,
               const std::vector<std::pair<std::string, std::string>>& merges) {
  BpeParts parts;
  for (const std::string& token : tokens) {
    parts.vocabulary.emplace(token, static_cast<TokenId>(parts.vocabulary.size()));
  }
  for (const auto& [left, right] : merges) {
    const TokenId result =
        parts.vocabulary.emplace(left + right, static_cast<TokenId>(parts.vocabulary.size()))
            .first->second;
    parts.merges.push_back({parts.vocabulary.at(left), parts.vocabulary.at(right), result,
                            static_cast<int32_t>(parts.merges.size())});
  }
  return parts;
}

std::vector<TokenId> Encode(const Bpe& bpe, std::string_view word) {
  std::vector<TokenId> ids;
  bpe.Encode(word, 0, {ids, nullptr});
  return ids;
}

// Merges by the definition: again and again the leftmost pair of lowest rank.
std::vector<TokenId> EncodeByDefinition(const BpeParts& parts, std::string_view word) {
  std::vector<TokenId> ids;
  for (char c : word) ids.push_back(parts.vocabulary.at(std::string(1, c)));
  for (size_t rank = 0; rank < parts.merges.size();) {
    const BpeParts::Merge& merge = parts.merges[rank];
    size_t i = 0;
    while (i + 1 < ids.size() && !(ids[i] == merge.left && ids[i + 1] == merge.right)) ++i;
    if (i + 1 >= ids.size()) {
      ++rank;
      continue;
    }
    ids[i] = merge.result;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(i) + 1);
    rank = 0;
  }
  return ids;
}

TEST(BpeTest, MergesTheLowestRankFirst) {
  const Bpe bpe(Parts({"a", "b", "c"}, {{"b", "c"}, {"a", "b"}, {"a", "bc"}}));
  EXPECT_THAT(Encode(bpe, "abc"), ElementsAre(5));
  EXPECT_THAT(Encode(bpe, "aab"), ElementsAre(0, 4));
}

TEST(BpeTest, MergesWordsOfEveryLengthByTheDefinition) {
  const BpeParts parts = Parts({"a", "b", "c"}, {{"a", "b"},
                                                 {"c", "c"},
                                                 {"ab", "ab"},
                                                 {"b", "c"},
                                                 {"a", "a"},
                                                 {"cc", "a"},
                                                 {"abab", "c"},
                                                 {"aa", "aa"},
                                                 {"bc", "cc"},
                                                 {"c", "ab"}});
  const Bpe bpe(parts);
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    std::string word;
    for (size_t length = 1 + random() % 150; word.size() < length;)
      word += static_cast<char>('a' + random() % 3);
    ASSERT_EQ(Encode(bpe, word), EncodeByDefinition(parts, word)) << word;
  }
}

// Tokens of characters and of pairs that reach across what would be words.
TEST(BpeTest, CutsTextsOnlyWhereNoMergeReachesAcross) {
  BpeParts parts = Parts({"a", "b", "_", "\u00e9"}, {{"a", "b"},
                                                     {"_", "a"},
                                                     {"b", "_"},
                                                     {"_", "_"},
                                                     {"ab", "_"},
                                                     {"_a", "b"},
                                                     {"\u00e9", "a"},
                                                     {"__", "__"}});
  parts.characters = true;
  const Bpe whole(parts);  // without tokens of bytes there are no cuts
  for (int byte = 0; byte < 256; ++byte) {
    const TokenId id = static_cast<TokenId>(parts.vocabulary.size());
    parts.vocabulary.emplace("<byte " + std::to_string(byte) + ">", id);
    parts.byte_fallback.push_back(id);
  }
  const Bpe cut(parts);
  const std::string characters[] = {"a", "b", "_", "\u00e9"};
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (size_t length = 1 + random() % 60; text.size() < length;) text += characters[random() % 4];
    ASSERT_EQ(Encode(cut, text), Encode(whole, text)) << text;
  }
}

TEST(BpeTest, EncodesALongWordInReasonableTime) {
  const Bpe bpe(Parts({"a"}, {{"a", "a"}, {"aa", "aa"}, {"aaaa", "aaaa"}}));
  EXPECT_EQ(Encode(bpe, std::string(1 << 20, 'a')).size(), (1u << 20) / 8);
}

TEST(BpeTest, TakesAWholeWordOnlyIfItsMergesLeadThere) {
  BpeParts parts = Parts({"a", "b", "ab"}, {});
  EXPECT_THAT(Encode(Bpe(parts), "ab"), ElementsAre(0, 1));
  parts.ignore_merges = true;
  EXPECT_THAT(Encode(Bpe(parts), "ab"), ElementsAre(2));
}

TEST(BpeTest, GivesUnknownBytesTheUnknownToken) {
  BpeParts parts = Parts({"a", "?"}, {});
  EXPECT_THAT(Encode(Bpe(parts), "axya"), ElementsAre(0, 0));
  parts.unknown = 1;
  EXPECT_THAT(Encode(Bpe(parts), "axya"), ElementsAre(0, 1, 1, 0));
  parts.fuse_unknown = true;
  EXPECT_THAT(Encode(Bpe(parts), "axya"), ElementsAre(0, 1, 0));
}

TEST(BpeTest, TellsWhereTokensEnd) {
  const Bpe bpe(Parts({"a", "b", "c"}, {{"a", "b"}}));
  std::vector<TokenId> ids;
  std::vector<size_t> ends;
  bpe.Encode("abcab", 10, {ids, &ends});
  EXPECT_THAT(ends, ElementsAre(12, 13, 15));
}

TEST(BpeTest, ServesThreadsAtTheSameTime) {
  const Bpe bpe(Parts({"a", "b"}, {{"a", "b"}, {"ab", "ab"}}));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 1000; ++round) EXPECT_THAT(Encode(bpe, "abab"), ElementsAre(3));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace dropbp::data
