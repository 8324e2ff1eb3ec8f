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

TEST(TokenizerTest, KnowsTheTokensAroundAText) {
  json tokenizer = TinyTokenizer();
  EXPECT_THAT((*LoadTokenizer(tokenizer.dump()))->Around().begin, ElementsAre());
  const json single = {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
                       {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                       {{"SpecialToken", {{"id", "</s>"}, {"type_id", 0}}}}};
  tokenizer["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}},
        {{"type", "TemplateProcessing"},
         {"single", single},
         {"special_tokens",
          {{"<s>", {{"id", "<s>"}, {"ids", {kBegin}}, {"tokens", {"<s>"}}}},
           {"</s>", {{"id", "</s>"}, {"ids", {kEnd}}, {"tokens", {"</s>"}}}}}}}}}};
  const auto loaded = LoadTokenizer(tokenizer.dump());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_THAT((*loaded)->Around().begin, ElementsAre(kBegin));
  EXPECT_THAT((*loaded)->Around().end, ElementsAre(kEnd));
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

// A model of characters: <unk> <s> </s>, 256 bytes, then "_" as U+2581, h, i, and what merges make.
json CharacterTokenizer(const std::vector<std::pair<std::string, std::string>>& merges = {
                            {"h", "i"}}) {
  json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof(token), "<0x%02X>", byte);
    vocab[token] = byte + 3;
  }
  for (const char* character : {"\u2581", "h", "i"}) vocab[character] = vocab.size();
  json list = json::array();
  for (const auto& [left, right] : merges) {
    vocab[left + right] = vocab.size();
    list.push_back({left, right});
  }
  json added = json::array();
  for (int id = 0; id < 3; ++id) {
    added.push_back({{"id", id},
                     {"content", id == 0   ? "<unk>"
                                 : id == 1 ? "<s>"
                                           : "</s>"},
                     {"special", true}});
  }
  const json pattern = {{"String", "\u2581"}};
  return {{"added_tokens", added},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "\u2581"}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", pattern}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", list}}}};
}

json MetaspaceTokenizer(const char* scheme, bool split) {
  json tokenizer = CharacterTokenizer();
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = {{"type", "Metaspace"},
                                {"replacement", "\u2581"},
                                {"prepend_scheme", scheme},
                                {"split", split}};
  return tokenizer;
}

constexpr TokenId kSpaceId = 259;
constexpr TokenId kHi = 262;

TEST(TokenizerTest, PutsASpaceBeforeEveryTextBetweenSpecialTokens) {
  EXPECT_THAT(Ids(CharacterTokenizer(), "hi<s>hi hi"),
              ElementsAre(kSpaceId, kHi, 1, kSpaceId, kHi, kSpaceId, kHi));
}

TEST(TokenizerTest, PutsASpaceOnlyWhereTheSchemeSaysSo) {
  EXPECT_THAT(Ids(MetaspaceTokenizer("first", false), "hi<s>hi"),
              ElementsAre(kSpaceId, kHi, 1, kHi));
  EXPECT_THAT(Ids(MetaspaceTokenizer("first", false), "<s>hi"), ElementsAre(1, kHi));
  EXPECT_THAT(Ids(MetaspaceTokenizer("first", true), " hi"), ElementsAre(kSpaceId, kHi));
  EXPECT_THAT(Ids(MetaspaceTokenizer("always", true), "<s>hi"), ElementsAre(1, kSpaceId, kHi));
  EXPECT_THAT(Ids(MetaspaceTokenizer("never", true), "hi hi"), ElementsAre(kHi, kSpaceId, kHi));
}

TEST(TokenizerTest, FallsBackToTheBytesOfACharacter) {
  const auto tokenizer = *LoadTokenizer(CharacterTokenizer().dump());
  const auto encoding = tokenizer->EncodeWithOffsets("hi\u00e9 i");
  ASSERT_TRUE(encoding.ok());
  EXPECT_THAT(encoding->ids,
              ElementsAre(kSpaceId, kHi, 3 + 0xc3, 3 + 0xa9, kSpaceId, kSpaceId + 2));
  EXPECT_THAT(encoding->ends, ElementsAre(0, 2, 3, 4, 5, 6));
  EXPECT_EQ(tokenizer->Decode(encoding->ids, false), "hi\u00e9 i");
  EXPECT_EQ(tokenizer->Decode({kHi, 3 + 0xc3, kHi, 3 + 0xc3, 3 + 0xc3}, false),
            "hi\uFFFDhi\uFFFD\uFFFD")
      << "one for each byte that is no text";
}

TEST(TokenizerTest, MergesAcrossWordsWhereTheVocabularyDoes) {
  const json tokenizer = CharacterTokenizer({{"i", "\u2581"}, {"i\u2581", "h"}});
  EXPECT_THAT(Ids(tokenizer, "i h"), ElementsAre(kSpaceId, kHi + 1));
  EXPECT_THAT(Ids(tokenizer, "h h"), ElementsAre(kSpaceId, kSpaceId + 1, kSpaceId, kSpaceId + 1));
}

TEST(TokenizerTest, TakesOneUnknownTokenForARunOfUnknownCharacters) {
  json tokenizer = CharacterTokenizer();
  tokenizer["model"]["byte_fallback"] = false;
  EXPECT_THAT(Ids(tokenizer, "hxyi"), ElementsAre(kSpaceId, kSpaceId + 1, 0, kSpaceId + 2));
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
      {"ByteFallback", Changed([](json& t) {
         t["model"]["byte_fallback"] = true;
         t["model"]["vocab"].erase("a");
       }),
       "byte_fallback is true in a byte-level model that has no token for the byte 97"},
      {"ByteFallbackWithoutBytes",
       [] {
         json t = CharacterTokenizer();
         t["model"]["vocab"].erase("<0x0A>");
         return t.dump();
       }(),
       "byte_fallback needs the tokens <0x00> to <0xFF>, and the vocabulary has no <0x0A>"},
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
       "pre_tokenizer Metaspace: replacement is missing"},
      {"MetaspaceScheme", Changed([](json& t) {
         t["pre_tokenizer"] = {
             {"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}};
       }),
       "prepend_scheme is \"last\""},
      {"Whitespace", Changed([](json& t) {
         t["pre_tokenizer"] = {{"type", "Whitespace"}};
       }),
       "pre_tokenizer \"Whitespace\" is not supported"},
      {"ReplaceByRegex", Changed([](json& t) {
         t["normalizer"] = {{"type", "Replace"}, {"pattern", {{"Regex", " +"}}}, {"content", "_"}};
       }),
       "normalizer Replace: supported is a pattern of the kind {\"String\": text}"},
      {"StripOfTwo", Changed([](json& t) {
         t["decoder"] = {{"type", "Strip"}, {"content", "ab"}, {"start", 1}, {"stop", 0}};
       }),
       "decoder Strip: content is not one character"},
      {"PrefixSpace", Changed([](json& t) { t["pre_tokenizer"]["add_prefix_space"] = true; }),
       "add_prefix_space is true"},
      {"SplitOfText", Changed([](json& t) {
         t["pre_tokenizer"] = Split({{"Glob", " "}});
       }),
       "supported is a pattern of the kind"},
      {"SplitRemoved", Changed([](json& t) {
         t["pre_tokenizer"] = Split({{"Regex", "a"}});
         t["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed";
       }),
       "behavior is \"Removed\"; supported"},
      {"BrokenRegex", Changed([](json& t) {
         t["pre_tokenizer"] = Split({{"Regex", "(["}});
       }),
       "regular expression"},
      {"BertProcessing", Changed([](json& t) {
         t["post_processor"] = {{"type", "BertProcessing"}};
       }),
       "post_processor \"BertProcessing\" is not supported"},
      {"ManyComponents", Changed([](json& t) {
         t["normalizer"] = {{"type", "Sequence"}, {"normalizers", json(17, json{{"type", "NFC"}})}};
       }),
       "normalizer: found 17 components, legal are at most 16"},
      {"ManyReplaces", Changed([](json& t) {
         const json replace = {
             {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
         t["decoder"] = {{"type", "Sequence"}, {"decoders", {replace, replace, replace}}};
       }),
       "decoder: found 3 times Replace, legal are at most 2"},
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
