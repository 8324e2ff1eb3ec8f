#include "worker/data/mix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "tests/unit/worker/data/tiny_model.h"

namespace dropbp::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class MixTest : public testing::Test {
 protected:
  void SetUp() override { WriteTinyModel(folder_); }

  // Puts a file into the mix, under its SHA-256 as on a worker.
  std::string Put(const std::string& content, double weight) {
    const std::string sha256 = Sha256Hex(content);
    paths_[sha256] = folder_.Write(sha256, content);
    spec_.mix[sha256] = weight;
    return paths_[sha256];
  }

  absl::StatusOr<TokenizedDataset> Load(uint64_t seed = 0) {
    ASSIGN_OR_RETURN(
        TokenizedDataset dataset,
        LoadDataset(folder_.Write("data.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n"), spec_,
                    folder_.path()));
    RETURN_IF_ERROR(AddMix(paths_, spec_, seed, folder_.path(), dataset));
    return dataset;
  }

  // The first letters of the samples' texts, in their order.
  std::string Letters(const TokenizedDataset& dataset) {
    const auto tokenizer = *Tokenizer::Load(folder_.path());
    std::string letters;
    for (const Sample& sample : dataset.samples) {
      const std::string text = tokenizer->Decode(sample.ids, /*skip_special=*/true);
      letters += text.find('\n') == std::string::npos ? text[0] : text[text.find('\n') + 1];
    }
    return letters;
  }

  TemporaryFolder folder_;
  DatasetSpec spec_;
  std::map<std::string, std::string> paths_;
};

std::string Texts(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    absl::StrAppend(&lines, "{\"text\": \"", std::string(1, static_cast<char>('A' + i)), "\"}\n");
  return lines;
}

TEST_F(MixTest, RepeatsSamplesByTheirWeight) {
  Put(Texts(4), 2.25);
  const auto dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(Letters(*dataset).substr(0, 10), "abABCDABCD");
  EXPECT_THAT(dataset->samples, SizeIs(11)) << "a quarter of four comes once more";
  EXPECT_THAT(dataset->rows, SizeIs(11));
  EXPECT_EQ(dataset->report.samples, 11);
  EXPECT_EQ(dataset->report.tokens, 11 * 2) << "letter, end";
}

TEST_F(MixTest, DrawsAFixedShareByTheSeed) {
  Put(Texts(20), 0.5);
  const std::string letters = Letters(*Load(1));
  ASSERT_EQ(letters.size(), 12u);
  EXPECT_TRUE(std::is_sorted(letters.begin() + 2, letters.end()));
  EXPECT_EQ(std::adjacent_find(letters.begin(), letters.end()), letters.end()) << "each once";
  EXPECT_EQ(Letters(*Load(1)), letters);
  EXPECT_NE(Letters(*Load(2)), letters);
}

TEST_F(MixTest, RecognisesEachFilesTypeAndFormat) {
  spec_.format = "text";
  spec_.file_type = "jsonl";
  Put("prompt,completion\nx,y\n", 1);
  Put(R"( [{"messages":[{"role":"user","content":"u"},{"role":"assistant","content":"v"}]}])", 1);
  const auto dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->report.samples, 4);
  EXPECT_THAT(dataset->report.format, HasSubstr("text + "));
  EXPECT_THAT(dataset->report.format, HasSubstr("messages"));
  EXPECT_THAT(dataset->report.format, HasSubstr("prompt_completion"));
  std::string letters = Letters(*dataset);
  std::sort(letters.begin(), letters.end());
  EXPECT_EQ(letters, "abux");
}

TEST_F(MixTest, AddsUpWhatIsLeftOutAndPacksEverything) {
  spec_.max_length = 4;
  spec_.packing = true;
  spec_.overlength = "drop";
  Put("{\"text\": \"too long a text\"}\n{\"text\": \"A\"}\n", 2);
  const auto dataset = Load();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->report.dropped, 1) << "records, not samples of a pass";
  EXPECT_EQ(dataset->report.samples, 4);
  EXPECT_THAT(dataset->rows, ElementsAre(Row{0, 1}, Row{2, 3})) << "of 2 tokens each";
  EXPECT_EQ(dataset->report.rows, 2);
}

TEST_F(MixTest, NamesTheFileAndLineOfABadRecord) {
  const std::string path = Put("{\"text\": \"A\"}\n{\"text\": 7}\n", 1);
  const auto dataset = Load();
  EXPECT_THAT(std::string(dataset.status().message()), HasSubstr(absl::StrCat(path, ":2: ")));
}

TEST_F(MixTest, NamesAFileThatIsNotThere) {
  Put(Texts(1), 1);
  spec_.mix["gone"] = 1;
  EXPECT_THAT(std::string(Load().status().message()), HasSubstr("found no file gone"));
}

// Files are cached by content, like the data set.
TEST_F(MixTest, TokenisesAFileOnce) {
  const std::string path = Put(Texts(3), 1);
  ASSERT_TRUE(Load().ok());
  folder_.Write(std::filesystem::path(path).filename().string(), "[this would be refused");
  // What begins like a list is read like one: another key.
  EXPECT_FALSE(Load().ok());
  folder_.Write(std::filesystem::path(path).filename().string(), "{this would be refused");
  EXPECT_TRUE(Load().ok());
}

}  // namespace
}  // namespace dropbp::data
