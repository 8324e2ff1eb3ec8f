// Our tokenizer against Hugging Face tokenizers: ids and decoded text of 20,000 generated texts and
// of every code point, for SmolLM2's tokenizer and for ones trained with the patterns of Llama-3
// and Qwen-2 and with a pattern of their own.
#include <gtest/gtest.h>

#include "tests/parity/oracle_run.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {
namespace {

class TokenizerParityTest : public testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    folder_ = new std::string(OracleFolder("tokenizer-parity"));
    made_ = RunOracle("tokenizer_oracle.py", {SmolLm2Folder(), *folder_});
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(*folder_);
    delete folder_;
  }

  void SetUp() override {
    ASSERT_TRUE(made_)
        << "tokenizer_oracle.py failed; run tools/setup, and see DROPBP_ORACLES and DROPBP_MODELS";
    auto tokenizer = Tokenizer::Load(Path());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    expected_ = ReadJsonLines(Path() + "/expected.jsonl");
    ASSERT_GE(expected_.size(), 20'000u);
  }

  std::string Path() const { return *folder_ + "/" + GetParam(); }

  static std::string* folder_;
  static bool made_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::vector<nlohmann::json> expected_;
};

std::string* TokenizerParityTest::folder_ = nullptr;
bool TokenizerParityTest::made_ = false;

TEST_P(TokenizerParityTest, GivesTheSameIds) {
  for (const nlohmann::json& line : expected_) {
    const std::string text = line["text"];
    const auto ids = tokenizer_->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ASSERT_EQ(*ids, line["ids"].get<std::vector<TokenId>>()) << nlohmann::json(text);
  }
}

TEST_P(TokenizerParityTest, DecodesToTheSameText) {
  for (const nlohmann::json& line : expected_) {
    const auto ids = line["ids"].get<std::vector<TokenId>>();
    const std::string text = line["text"];
    ASSERT_EQ(tokenizer_->Decode(ids, /*skip_special=*/false), line.value("decoded", text));
    ASSERT_EQ(tokenizer_->Decode(ids, /*skip_special=*/true),
              line.value("decoded_without_special", text));
  }
}

TEST_P(TokenizerParityTest, CoversTheTextWithItsOffsets) {
  for (const nlohmann::json& line : expected_) {
    const std::string text = line["text"];
    const auto encoding = tokenizer_->EncodeWithOffsets(text);
    ASSERT_TRUE(encoding.ok()) << encoding.status();
    ASSERT_EQ(encoding->ids.size(), encoding->ends.size());
    ASSERT_TRUE(std::is_sorted(encoding->ends.begin(), encoding->ends.end()));
    ASSERT_EQ(encoding->ends.empty() ? 0 : encoding->ends.back(), text.size());
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerParityTest,
                         testing::Values("smollm2", "llama3", "qwen2", "other"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace dropbp::data
