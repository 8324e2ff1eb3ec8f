#include "worker/data/sentence_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/unit/worker/data/tiny_model.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kSpace[] = "\u2581";

// A serialised message, field by field; numbers of fields are below 16 or take two bytes.
class Message {
 public:
  Message& Number(int field, uint64_t value) {
    Varint(static_cast<uint64_t>(field) << 3);
    Varint(value);
    return *this;
  }
  Message& Bytes(int field, const std::string& value) {
    Varint(static_cast<uint64_t>(field) << 3 | 2);
    Varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& Float(int field, float value) {
    Varint(static_cast<uint64_t>(field) << 3 | 5);
    char little[4];
    std::memcpy(little, &value, 4);
    bytes_.append(little, 4);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

std::string Piece(const std::string& text, float score, int type = 1) {
  return Message().Bytes(1, text).Float(2, score).Number(3, type).bytes();
}

// <unk> <s> </s> and pieces; scores fall in the order of the pieces.
struct Model {
  std::vector<std::string> pieces = {Piece("<unk>", 0, 2), Piece("<s>", 0, 3), Piece("</s>", 0, 3)};
  Message trainer = Message().Number(3, 2);
  Message normalizer = Message().Bytes(1, "identity").Number(4, 0);

  Model& Add(const std::string& text, int type = 1) {
    pieces.push_back(Piece(text, -static_cast<float>(pieces.size()), type));
    return *this;
  }
  std::string bytes() const {
    Message model;
    for (const std::string& piece : pieces) model.Bytes(1, piece);
    return model.Bytes(2, trainer.bytes()).Bytes(3, normalizer.bytes()).bytes();
  }
};

// Ids: 3 "ab", 4 "▁a", 5 "▁", 6 a, 7 b, 8 c.
Model SmallModel() {
  Model model;
  model.Add("ab").Add(std::string(kSpace) + "a").Add(kSpace).Add("a").Add("b").Add("c");
  return model;
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const std::string& model,
                                                      const json& config = json::object()) {
  TemporaryFolder folder;
  folder.Write("tokenizer.model", model);
  folder.Write("tokenizer_config.json", config.dump());
  return Tokenizer::Load(folder.path());
}

std::vector<TokenId> Ids(const Tokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.Encode(text);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return *ids;
}

TEST(SentencePieceTest, MergesThePieceOfHighestScoreFirst) {
  const auto tokenizer = Load(SmallModel().bytes());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(Ids(**tokenizer, "abc"), ElementsAre(5, 3, 8)) << "ab before the space and a";
  EXPECT_THAT(Ids(**tokenizer, "a c"), ElementsAre(4, 5, 8));
  EXPECT_EQ((*tokenizer)->Decode({4, 5, 8}, false), "a c");
  EXPECT_EQ((*tokenizer)->vocab_size(), 9);
}

TEST(SentencePieceTest, KnowsItsSpecialTokens) {
  const auto tokenizer = *Load(SmallModel().bytes());
  EXPECT_THAT(Ids(*tokenizer, "<s>a"), ElementsAre(1, 4));
  EXPECT_TRUE(tokenizer->IsSpecial(1));
  EXPECT_THAT(tokenizer->Around().begin, ElementsAre(1));
  EXPECT_THAT(tokenizer->Around().end, ElementsAre());
  const auto ended =
      *Load(SmallModel().bytes(), {{"add_bos_token", false}, {"add_eos_token", true}});
  EXPECT_THAT(ended->Around().begin, ElementsAre());
  EXPECT_THAT(ended->Around().end, ElementsAre(2));
}

TEST(SentencePieceTest, PutsASpaceInFrontOnlyOnceUnlessItIsLegacy) {
  const auto tokenizer = *Load(SmallModel().bytes(), {{"legacy", false}});
  EXPECT_THAT(Ids(*tokenizer, "a<s>a"), ElementsAre(4, 1, 6));
  const auto legacy = *Load(SmallModel().bytes(), {{"legacy", true}});
  EXPECT_THAT(Ids(*legacy, "a<s>a"), ElementsAre(4, 1, 4));
}

TEST(SentencePieceTest, TakesUserDefinedPiecesAsTheyAre) {
  Model model = SmallModel().Add("<x>", 4).Add(std::string(kSpace) + kSpace, 4);
  const auto tokenizer = *Load(model.bytes());
  EXPECT_THAT(Ids(*tokenizer, "c<x>  c"), ElementsAre(5, 8, 9, 10, 8));
  EXPECT_FALSE(tokenizer->IsSpecial(9));
}

TEST(SentencePieceTest, FallsBackToBytesOrTheUnknownPiece) {
  EXPECT_THAT(Ids(**Load(SmallModel().bytes()), "xyc"), ElementsAre(5, 0, 8)) << "one for a run";
  Model model = SmallModel();
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", byte);
    model.Add(text, 6);
  }
  model.trainer.Number(35, 1);
  const auto tokenizer = Load(model.bytes());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(Ids(**tokenizer, "\u00e9"), ElementsAre(5, 9 + 0xc3, 9 + 0xa9));
  EXPECT_THAT(Ids(**tokenizer, "<0x0A>").size(), testing::Gt(1u)) << "a byte piece is no text";
}

TEST(SentencePieceTest, TakesAddedTokensOfTheFolder) {
  TemporaryFolder folder;
  folder.Write("tokenizer.model", SmallModel().bytes());
  folder.Write("tokenizer_config.json",
               json({{"added_tokens_decoder",
                      {{"1", {{"content", "<s>"}, {"special", true}}},
                       {"9", {{"content", "<|user|>"}, {"rstrip", true}, {"special", true}}}}}})
                   .dump());
  folder.Write("added_tokens.json", R"({"<pad>": 10, "<|user|>": 9})");
  const auto tokenizer = Tokenizer::Load(folder.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(Ids(**tokenizer, "<|user|>  c<pad>"), ElementsAre(9, 5, 8, 10));
  EXPECT_EQ((*tokenizer)->vocab_size(), 11);
}

TEST(SentencePieceTest, RefusesWhatItWouldNotFollow) {
  const auto error = [](const Model& model) {
    return std::string(Load(model.bytes()).status().message());
  };
  Model unigram = SmallModel();
  unigram.trainer.Number(3, 1);
  EXPECT_THAT(error(unigram), HasSubstr("tokenizer.model: model_type is 1"));
  Model rules = SmallModel();
  rules.normalizer.Bytes(2, "charsmap");
  EXPECT_THAT(error(rules), HasSubstr("precompiled_charsmap"));
  Model trimming = SmallModel();
  trimming.normalizer.Number(4, 1);
  EXPECT_THAT(error(trimming), HasSubstr("remove_extra_whitespaces"));
  EXPECT_THAT(error(SmallModel().Add("u", 5)), HasSubstr("\"u\" is marked as unused"));
  EXPECT_THAT(error(SmallModel().Add("a")), HasSubstr("\"a\" occurs twice"));
  EXPECT_THAT(error(SmallModel().Add("\xff")), HasSubstr("piece 9 is no UTF-8 text"));
  EXPECT_THAT(error(SmallModel().Add(std::string(2000, 'x'))), HasSubstr("longer than 1024"));
  Model unscored = SmallModel();
  unscored.pieces.push_back(Piece("n", NAN));
  EXPECT_THAT(error(unscored), HasSubstr("the score of piece 9 is no number"));
  Model fallback = SmallModel();
  fallback.trainer.Number(35, 1);
  EXPECT_THAT(error(fallback), HasSubstr("needs the byte piece <0x00>"));
}

TEST(SentencePieceTest, RefusesBrokenBytesWhereverTheyEnd) {
  const std::string whole = SmallModel().bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto parts = ParseSentencePieceModel(std::string_view(whole).substr(0, size), true);
    // A cut between two fields leaves a message that is whole; its defaults are refused.
    EXPECT_FALSE(parts.ok()) << size;
  }
}

}  // namespace
}  // namespace dropbp::data
