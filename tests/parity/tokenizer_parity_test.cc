// Our tokenizer against Hugging Face tokenizers and SentencePiece: ids of more than 100,000
// generated texts for each kind of tokenizer, of every code point for some, and decoded text. The
// real one is SmolLM2's; the others are trained by the oracle in the manner of the families.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/parity/oracle_run.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {
namespace {

// Kept from run to run: see tokenizer_oracle.py.
std::string CacheFolder() { return Environment("DROPBP_BIN_DIR") + "/../parity-cache/tokenizers"; }

bool MakeReference() {
  static const bool made = RunOracle("tokenizer_oracle.py", {SmolLm2Folder(), CacheFolder()});
  return made;
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// A file of 32-bit numbers and texts.
class BinaryFile {
 public:
  explicit BinaryFile(const std::string& path) : bytes_(ReadWhole(path)) {}

  bool AtEnd() const { return position_ >= bytes_.size(); }
  std::string_view Text() { return Take(Number()); }
  std::vector<TokenId> Ids() {
    const std::string_view bytes = Take(Number() * sizeof(TokenId));
    std::vector<TokenId> ids(bytes.size() / sizeof(TokenId));
    if (!ids.empty()) std::memcpy(ids.data(), bytes.data(), bytes.size());
    return ids;
  }

 private:
  size_t Number() {
    uint32_t number = 0;
    std::memcpy(&number, Take(sizeof(number)).data(), sizeof(number));
    return number;
  }
  std::string_view Take(size_t size) {
    const std::string_view taken = std::string_view(bytes_).substr(position_, size);
    position_ += size;
    return taken;
  }

  const std::string bytes_;
  size_t position_ = 0;
};

class TokenizerParityTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeReference())
        << "tokenizer_oracle.py failed; run tools/setup, and see DROPBP_ORACLES and DROPBP_MODELS";
    folder_ = CacheFolder() + "/" + GetParam();
    auto tokenizer = Tokenizer::Load(folder_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }

  // SentencePiece has texts of its own, without the texts of its control pieces.
  BinaryFile Texts() const {
    const std::string own = folder_ + "/texts.bin";
    return BinaryFile(std::filesystem::exists(own) ? own : CacheFolder() + "/texts.bin");
  }

  std::string folder_;
  std::unique_ptr<const Tokenizer> tokenizer_;
};

std::string Shown(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', /*ensure_ascii=*/true);
}

TEST_P(TokenizerParityTest, GivesTheSameIds) {
  BinaryFile texts = Texts();
  int64_t compared = 0;
  for (BinaryFile expected(folder_ + "/ids.bin"); !expected.AtEnd(); ++compared) {
    const std::string_view text = texts.Text();
    const auto ids = tokenizer_->Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ASSERT_EQ(*ids, expected.Ids()) << Shown(text);
  }
  EXPECT_GE(compared, 100'000);
  RecordProperty("texts", static_cast<int>(compared));
}

TEST_P(TokenizerParityTest, DecodesToTheSameText) {
  BinaryFile all_ids(folder_ + "/ids.bin");
  int64_t compared = 0;
  for (BinaryFile expected(folder_ + "/decoded.bin"); !expected.AtEnd(); ++compared) {
    const auto ids = all_ids.Ids();
    ASSERT_EQ(tokenizer_->Decode(ids, /*skip_special=*/false), expected.Text());
    ASSERT_EQ(tokenizer_->Decode(ids, /*skip_special=*/true), expected.Text());
  }
  EXPECT_GE(compared, 20'000);
}

TEST_P(TokenizerParityTest, CoversTheTextWithItsOffsets) {
  BinaryFile texts = Texts();
  for (int i = 0; i < 20'000; ++i) {
    const std::string_view text = texts.Text();
    const auto encoding = tokenizer_->EncodeWithOffsets(text);
    ASSERT_TRUE(encoding.ok()) << encoding.status();
    ASSERT_EQ(encoding->ids, *tokenizer_->Encode(text));
    ASSERT_EQ(encoding->ids.size(), encoding->ends.size());
    ASSERT_TRUE(std::is_sorted(encoding->ends.begin(), encoding->ends.end())) << Shown(text);
    ASSERT_EQ(encoding->ends.empty() ? 0 : encoding->ends.back(), text.size()) << Shown(text);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerParityTest,
                         testing::Values("smollm2", "llama3", "qwen2", "nemo", "other", "llama2",
                                         "phi3", "mistral", "gemma", "metaspace", "sentencepiece"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace dropbp::data
