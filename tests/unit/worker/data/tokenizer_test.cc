#include "worker/data/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/data/tiny_model.h"

namespace dropbp::data {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<std::unique_ptr<const Tokenizer>> LoadTokenizer(const std::string& text) {
  TemporaryFolder folder;
  folder.Write("tokenizer.json", text);
  return Tokenizer::Load(folder.path());
}

std::vector<TokenId> Ids(const json& tokenizer, std::string_view text) {
  const auto loaded = LoadTokenizer(tokenizer.dump());
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  const auto ids = (*loaded)->Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return *ids;
}

TEST(TokenizerTest, EncodesMergesAndAddedTokens) {
  const json tokenizer = TinyTokenizer({{"h", "i"}, {"\u0120", "hi"}});
  EXPECT_THAT(Ids(tokenizer, "hi hi<s>hi"), ElementsAre(256, 257, 258, 256));
}

TEST(TokenizerTest, ReadsMergesAsStringsToo) {
  json tokenizer = TinyTokenizer({{"h", "i"}});
  tokenizer["model"]["merges"] = {"h i"};
  EXPECT_THAT(Ids(tokenizer, "hi"), ElementsAre(256));
}

TEST(TokenizerTest, ReadsAModelWithoutATypeAndWithoutOptionalParts) {
  json tokenizer = TinyTokenizer();
  tokenizer["model"].erase("type");
  tokenizer.erase("normalizer");
  tokenizer.erase("post_processor");
  EXPECT_THAT(Ids(tokenizer, "a"), ElementsAre('a'));
}

TEST(TokenizerTest, KnowsTheBeginToken) {
  json tokenizer = TinyTokenizer();
  EXPECT_EQ((*LoadTokenizer(tokenizer.dump()))->AddedBeginToken(), -1);
  const json single = {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
                       {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}};
  tokenizer["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}},
        {{"type", "TemplateProcessing"},
         {"single", single},
         {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {kBegin}}, {"tokens", {"<s>"}}}}}}}}}};
  const auto loaded = LoadTokenizer(tokenizer.dump());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->AddedBeginToken(), kBegin);
  EXPECT_THAT(*(*loaded)->Encode("a"), ElementsAre('a')) << "added by the caller, not by Encode";
}

TEST(TokenizerTest, LooksForNormalizedAddedTokensInNormalizedText) {
  json tokenizer = TinyTokenizer();
  tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["added_tokens"].push_back(
      {{"id", 260}, {"content", "e\u0301!"}, {"normalized", true}, {"special", false}});
  EXPECT_THAT(Ids(tokenizer, "\u00e9!"), ElementsAre(260));
  EXPECT_THAT(Ids(tokenizer, "e\u0301!"), ElementsAre(260));
}

TEST(TokenizerTest, TellsWhereTokensLieInTheText) {
  json tokenizer = TinyTokenizer({{"h", "i"}});
  tokenizer["normalizer"] = {{"type", "NFC"}};
  const auto loaded = LoadTokenizer(tokenizer.dump());
  const auto encoding = (*loaded)->EncodeWithOffsets("hi<s>e\u0301x");
  ASSERT_TRUE(encoding.ok());
  EXPECT_THAT(encoding->ends, ElementsAre(2, 5, 8, 8, 9));
}

TEST(TokenizerTest, DecodesBytesThatAreNoTextToTheReplacementCharacter) {
  const auto tokenizer = *LoadTokenizer(TinyTokenizer().dump());
  EXPECT_EQ(tokenizer->Decode({'a', 0xe2, 0x82, 'b'}, false), "a\uFFFDb");
  EXPECT_EQ(tokenizer->Decode({kBegin, 'a', kTurnEnd}, false), "<s>a<|end|>");
  EXPECT_EQ(tokenizer->Decode({kBegin, 'a', kTurnEnd}, true), "a");
  EXPECT_EQ(tokenizer->Decode({-1, 100'000, 'a'}, false), "a") << "ids of no token";
}

TEST(TokenizerTest, KnowsTokensByTheirContent) {
  const auto tokenizer = *LoadTokenizer(TinyTokenizer({{"h", "i"}}).dump());
  EXPECT_EQ(tokenizer->TokenToId("hi"), 256);
  EXPECT_EQ(tokenizer->TokenToId("</s>"), 258);
  EXPECT_EQ(tokenizer->TokenToId("nothing"), -1);
  EXPECT_TRUE(tokenizer->IsSpecial(258));
  EXPECT_FALSE(tokenizer->IsSpecial(256));
  EXPECT_EQ(tokenizer->vocab_size(), 261);
}

TEST(TokenizerTest, RefusesTextThatIsNotUtf8) {
  const auto tokenizer = *LoadTokenizer(TinyTokenizer().dump());
  EXPECT_THAT(tokenizer->Encode("ab\xff").status().message(), HasSubstr("invalid UTF-8 at byte 2"));
}

struct Hostile {
  std::string what;
  std::string text;
  std::string error;
};

class HostileTokenizerTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileTokenizerTest, IsRefusedWithOneClearError) {
  const auto tokenizer = LoadTokenizer(GetParam().text);
  ASSERT_FALSE(tokenizer.ok());
  EXPECT_THAT(tokenizer.status().message(), HasSubstr("tokenizer.json"));
  EXPECT_THAT(tokenizer.status().message(), HasSubstr(GetParam().error));
}

// TinyTokenizer() with one change.
template <typename Change>
std::string Changed(Change change) {
  json tokenizer = TinyTokenizer({{"h", "i"}});
  change(tokenizer);
  return tokenizer.dump();
}

json Split(const json& pattern) {
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", pattern}, {"behavior", "Isolated"}, {"invert", false}},
            {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
}

std::vector<Hostile> HostileFiles() {
  return {
      {"Empty", "", "unexpected end of input"},
      {"List", "[]", "legal is an object"},
      {"Cut", R"({"model": {"vocab": {"a": 0)", "unexpected end of input"},
      {"Deep", std::string(1000, '['), "nested deeper than 64 levels"},
      {"NoModel", Changed([](json& t) { t.erase("model"); }), "model is missing"},
      {"WordPiece", Changed([](json& t) { t["model"]["type"] = "WordPiece"; }),
       "model \"WordPiece\" is not supported; supported: BPE"},
      {"NoVocab", Changed([](json& t) { t["model"].erase("vocab"); }), "needs vocab"},
      {"VocabIdIsText", Changed([](json& t) { t["model"]["vocab"]["a"] = "1"; }),
       "model.vocab \"a\": found \"1\""},
      {"VocabIdNegative", Changed([](json& t) { t["model"]["vocab"]["a"] = -1; }), "found -1"},
      {"VocabIdHuge", Changed([](json& t) { t["model"]["vocab"]["a"] = 4'000'000'000u; }),
       "found 4000000000"},
      {"VocabIdTwice", Changed([](json& t) { t["model"]["vocab"]["a"] = 98; }),
       "id 98 is another token's too"},
      {"VocabKeyTwice", R"({"model": {"vocab": {"a": 0, "a": 1}}})", "the key \"a\" occurs twice"},
      {"NoMerges", Changed([](json& t) { t["model"].erase("merges"); }), "needs merges"},
      {"MergeOfThree", Changed([](json& t) { t["model"]["merges"] = {"a b c"}; }),
       "model.merges, number 0: found"},
      {"MergeOfNumbers", Changed([](json& t) {
         t["model"]["merges"] = {{1, 2}};
       }),
       "legal is \"a b\""},
      {"MergeUnknown", Changed([](json& t) {
         t["model"]["merges"] = json::array({json::array({"h", "zz"})});
       }),
       "\"zz\" is not in the vocabulary"},
      {"MergeResultUnknown", Changed([](json& t) {
         t["model"]["merges"] = json::array({json::array({"i", "h"})});
       }),
       "\"ih\" is not in the vocabulary"},
      {"Dropout", Changed([](json& t) { t["model"]["dropout"] = 0.1; }), "dropout is 0.1"},
      {"ByteFallback", Changed([](json& t) { t["model"]["byte_fallback"] = true; }),
       "byte_fallback is true"},
      {"Prefix", Changed([](json& t) { t["model"]["continuing_subword_prefix"] = "##"; }),
       "continuing_subword_prefix is \"##\""},
      {"Suffix", Changed([](json& t) { t["model"]["end_of_word_suffix"] = "</w>"; }),
       "end_of_word_suffix"},
      {"UnknownToken", Changed([](json& t) { t["model"]["unk_token"] = "[UNK]"; }),
       "unk_token is \"[UNK]\""},
      {"Lowercase", Changed([](json& t) {
         t["normalizer"] = {{"type", "Lowercase"}};
       }),
       "normalizer \"Lowercase\" is not supported"},
      {"Metaspace", Changed([](json& t) {
         t["pre_tokenizer"] = {{"type", "Metaspace"}};
       }),
       "pre_tokenizer \"Metaspace\" is not supported"},
      {"NoPreTokenizer", Changed([](json& t) { t["pre_tokenizer"] = nullptr; }),
       "pre_tokenizer is missing"},
      {"PrefixSpace", Changed([](json& t) { t["pre_tokenizer"]["add_prefix_space"] = true; }),
       "add_prefix_space is true"},
      {"SplitOfText", Changed([](json& t) {
         t["pre_tokenizer"] = Split({{"String", " "}});
       }),
       "supported is a pattern of the kind"},
      {"SplitRemoved", Changed([](json& t) {
         t["pre_tokenizer"] = Split({{"Regex", "a"}});
         t["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed";
       }),
       "behavior is \"Removed\""},
      {"BrokenRegex", Changed([](json& t) {
         t["pre_tokenizer"] = Split({{"Regex", "(["}});
       }),
       "regular expression"},
      {"BertProcessing", Changed([](json& t) {
         t["post_processor"] = {{"type", "BertProcessing"}};
       }),
       "post_processor \"BertProcessing\" is not supported"},
      {"NoDecoder", Changed([](json& t) { t["decoder"] = nullptr; }), "decoder is missing"},
      {"WordPieceDecoder", Changed([](json& t) { t["decoder"]["type"] = "WordPiece"; }),
       "decoder \"WordPiece\" is not supported"},
      {"AddedIsText", Changed([](json& t) { t["added_tokens"] = {"<s>"}; }), "added_tokens: found"},
      {"AddedWithWrongId", Changed([](json& t) { t["added_tokens"][0]["id"] = 300; }),
       "added token \"<s>\" has id 300, the next free id is 257"},
      {"AddedAgainstVocab", Changed([](json& t) { t["added_tokens"][0]["content"] = "hi"; }),
       "in the vocabulary it has id 256"},
      {"AddedTwice", Changed([](json& t) { t["added_tokens"].push_back(t["added_tokens"][0]); }),
       "added token \"<s>\" occurs twice"},
      {"AddedFlag", Changed([](json& t) { t["added_tokens"][0]["special"] = "yes"; }),
       "special is \"yes\""},
      {"AddedLong",
       Changed([](json& t) { t["added_tokens"][0]["content"] = std::string(2000, 'x'); }),
       "longer than 1024 bytes"},
  };
}

INSTANTIATE_TEST_SUITE_P(All, HostileTokenizerTest, testing::ValuesIn(HostileFiles()),
                         [](const auto& info) { return info.param.what; });

}  // namespace
}  // namespace dropbp::data
