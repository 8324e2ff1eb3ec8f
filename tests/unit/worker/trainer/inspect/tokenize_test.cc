#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/data/tiny_model.h"
#include "tests/unit/worker/trainer/inspect/run_with_text.h"
#include "worker/trainer/inspect/verbs.h"

namespace dropbp::trainer {
namespace {

using testing::HasSubstr;

class TokenizeTest : public testing::Test {
 protected:
  void SetUp() override {
    nlohmann::json tokenizer = data::TinyTokenizer();
    tokenizer["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
        {"special_tokens", {{"<s>", {{"ids", {data::kBegin}}}}}}};
    data::WriteTinyModel(folder_, "", tokenizer);
  }

  RunResult Tokenize(const std::string& text, std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"tokenize", "--tokenizer", folder_.path()});
    return RunWithText(&RunTokenize, arguments, text);
  }

  TemporaryFolder folder_;
};

TEST_F(TokenizeTest, PrintsAListOfIdsForEachLine) {
  const RunResult result = Tokenize("ab\n\nc<s>\r\nd");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "[97,98]\n[]\n[99,256,13]\n[100]\n");
}

TEST_F(TokenizeTest, AddsWhatTheTokenizerPutsAroundATextIfAsked) {
  EXPECT_EQ(Tokenize("ab\n", {"--special"}).out, "[256,97,98]\n");
}

TEST_F(TokenizeTest, GoesBackToTheText) {
  EXPECT_EQ(Tokenize("[97,98]\n[]\n[256, 99]\n", {"--decode"}).out, "ab\n\n<s>c\n");
  EXPECT_EQ(Tokenize("[256,97]\n[97]\n", {"--decode", "--special"}).out, "a\na\n");
}

TEST_F(TokenizeTest, NamesTheLineThatItCannotTake) {
  const RunResult text = Tokenize("a\n\xff\n");
  EXPECT_EQ(text.exit_code, 1);
  EXPECT_THAT(text.err, HasSubstr("line 2: invalid UTF-8 at byte 0"));
  EXPECT_THAT(Tokenize("{}\n", {"--decode"}).err, HasSubstr("line 1: found an object"));
  EXPECT_THAT(Tokenize("[1]\n[9999]\n", {"--decode"}).err,
              HasSubstr("line 2: found id 9999, legal are 0 to 259"));
  for (const std::string id : {"-1", "1.5", "\"a\"", "99999999999"}) {
    EXPECT_THAT(Tokenize("[1, " + id + "]\n", {"--decode"}).err,
                HasSubstr("line 1: found id " + id + ", legal are 0 to 259"));
  }
}

TEST_F(TokenizeTest, TakesAndPrintsTextsOfSeveralLinesAsJson) {
  EXPECT_EQ(Tokenize("\"a\\nb\"\n\"\"\n", {"--json"}).out, "[97,10,98]\n[]\n");
  EXPECT_EQ(Tokenize("[97,10,98]\n[]\n", {"--decode", "--json"}).out, "\"a\\nb\"\n\"\"\n");
  EXPECT_THAT(Tokenize("[97]\n[97,10,98]\n", {"--decode"}).err,
              HasSubstr("line 2: the text \"a\\nb\" has several lines; --json"));
  EXPECT_THAT(Tokenize("[97]\n", {"--json"}).err,
              HasSubstr("line 1: found a list of 1, legal is a JSON string"));
}

}  // namespace
}  // namespace dropbp::trainer
