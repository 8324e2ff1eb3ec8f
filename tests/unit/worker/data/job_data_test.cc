// Held-out samples: a share of the data set, or a file of their own.
#include "worker/data/job_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/worker/data/tiny_model.h"

namespace dropbp::data {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<Sample> Numbered(int count) {
  std::vector<Sample> samples(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    samples[static_cast<size_t>(i)].ids = {1, i, 2};
    samples[static_cast<size_t>(i)].supervised = {false, true, true};
  }
  return samples;
}

std::set<TokenId> Numbers(const std::vector<Sample>& samples) {
  std::set<TokenId> numbers;
  for (const Sample& sample : samples) numbers.insert(sample.ids[1]);
  return numbers;
}

TEST(HoldOutTest, TakesTheShareAndLeavesTheRestInOrder) {
  std::vector<Sample> samples = Numbered(100);
  const std::vector<Sample> held_out = HoldOut(0.1, 7, samples);
  EXPECT_THAT(held_out, SizeIs(10));
  EXPECT_THAT(samples, SizeIs(90));
  std::set<TokenId> all = Numbers(samples);
  all.merge(Numbers(held_out));
  EXPECT_THAT(all, SizeIs(100)) << "each on one side";
  for (size_t i = 1; i < samples.size(); ++i) EXPECT_LT(samples[i - 1].ids[1], samples[i].ids[1]);
}

TEST(HoldOutTest, FollowsFromSeedAndTokens) {
  std::vector<Sample> first = Numbered(100), again = Numbered(100), other = Numbered(100);
  const auto held_out = Numbers(HoldOut(0.2, 7, first));
  EXPECT_EQ(Numbers(HoldOut(0.2, 7, again)), held_out);
  EXPECT_NE(Numbers(HoldOut(0.2, 8, other)), held_out);
  std::vector<Sample> backwards = Numbered(100);
  std::reverse(backwards.begin(), backwards.end());
  EXPECT_EQ(Numbers(HoldOut(0.2, 7, backwards)), held_out) << "whatever the order of the file";
}

TEST(HoldOutTest, CopiesAreOnOneSide) {
  std::vector<Sample> samples = Numbered(50);
  for (int copy = 0; copy < 2; ++copy) {
    for (Sample& sample : Numbered(50)) {
      sample.supervised = {false, false, true};  // another loss, the same text
      samples.push_back(std::move(sample));
    }
  }
  const std::vector<Sample> held_out = HoldOut(0.1, 3, samples);
  EXPECT_GE(held_out.size(), 15u);
  for (const TokenId number : Numbers(held_out)) EXPECT_FALSE(Numbers(samples).contains(number));
}

class JobDataTest : public ::testing::Test {
 protected:
  void SetUp() override { WriteTinyModel(folder_); }

  absl::StatusOr<JobData> Load(const std::string& validation = "") {
    JobFiles files = {.dataset = folder_.path() + "/train.jsonl", .validation = {}};
    if (!validation.empty()) files.validation = folder_.Write("held-out.jsonl", validation);
    return LoadJobData(files, spec_, folder_.path());
  }

  static std::string Texts(const std::string& letters) {
    std::string lines;
    for (const char letter : letters)
      lines += std::string(R"({"prompt": "ab", "completion": ")") + letter + "\"}\n";
    return lines;
  }

  TemporaryFolder folder_;
  JobSpec spec_;
};

TEST_F(JobDataTest, AShareIsNeverTrainedOn) {
  folder_.Write("train.jsonl", Texts("abcdefghij"));
  spec_.dataset.validation_share = 0.2;
  const auto data = Load();
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->training.samples, SizeIs(8));
  EXPECT_THAT(data->held_out, SizeIs(2));
  EXPECT_EQ(data->training.report.samples, 8);
  const Sample& one = data->held_out[0];  // all are as long
  EXPECT_EQ(data->training.report.tokens, 8 * static_cast<int64_t>(one.ids.size()));
  EXPECT_EQ(data->training.report.supervised_tokens, 8 * one.SupervisedTokens());
  EXPECT_EQ(data->training.report.validation_samples, 2);
  EXPECT_EQ(data->training.report.validation_supervised_tokens, 2 * one.SupervisedTokens());
}

TEST_F(JobDataTest, AFileStandsBesideTheWholeDataSet) {
  folder_.Write("train.jsonl", Texts("abcd"));
  spec_.evaluation.max_samples = 2;
  const auto data = Load(Texts("efg"));
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_THAT(data->training.samples, SizeIs(4));
  ASSERT_THAT(data->held_out, SizeIs(2)) << "the first max_samples";
  EXPECT_EQ(data->held_out[0].line, 1);
  EXPECT_EQ(data->held_out[1].line, 2);
  EXPECT_EQ(data->training.report.validation_samples, 2);
}

TEST_F(JobDataTest, AnErrorNamesTheFileThatItIsIn) {
  folder_.Write("train.jsonl", Texts("abcd"));
  EXPECT_THAT(Load("{\"prompt\": 1}\n").status().message(), HasSubstr("held-out.jsonl:1: "));
}

TEST_F(JobDataTest, AShareThatLeavesOneSideEmptyIsRefused) {
  folder_.Write("train.jsonl", Texts("abc"));
  spec_.dataset.validation_share = 0.1;
  EXPECT_THAT(Load().status().message(),
              HasSubstr("dataset.validation_share: found 0.1, which holds out 0 of 3 samples"));
  spec_.dataset.validation_share = 0.99;
  EXPECT_THAT(Load().status().message(), HasSubstr("holds out 3 of 3 samples"));
}

}  // namespace
}  // namespace dropbp::data
