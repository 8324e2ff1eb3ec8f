// Parquet files by pyarrow against the same records as JSON Lines: the same samples, token by
// token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/parity/oracle_run.h"
#include "tests/unit/worker/data/tiny_model.h"
#include "worker/data/dataset.h"
#include "worker/data/job_data.h"

namespace dropbp::data {
namespace {

using testing::HasSubstr;

// A template that looks at what a message has beside role and content.
constexpr char kTemplate[] =
    "{% for m in messages %}<|start|>{{ m.role }}{% if m.thought is defined %}({{ m.thought }})"
    "{% endif %}\n{{ m.content or '' }}{% if m.tool_calls is defined %}{{ m.tool_calls | tojson }}"
    "{% endif %}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant"
    "{% endif %}";

class ParquetParityTest : public testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    folder_ = OracleFolder("parquet-parity");
    ASSERT_TRUE(RunOracle("parquet_oracle.py", {folder_})) << "run tools/setup";
  }
  void SetUp() override {
    WriteTinyModel(model_, kTemplate);
    if (GetParam() == std::string("prompt_completion"))
      spec_.fields = {{"prompt", "question"}, {"completion", "answer"}};
  }

  std::string Path(const char* ending) const { return folder_ + "/" + GetParam() + ending; }

  static inline std::string folder_;
  TemporaryFolder model_;
  DatasetSpec spec_;
};

TEST_P(ParquetParityTest, GivesTheSamplesOfTheSameLines) {
  const auto lines = LoadDataset(Path(".jsonl"), spec_, model_.path());
  const auto rows = LoadDataset(Path(".parquet"), spec_, model_.path());
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->report.format, lines->report.format);
  EXPECT_EQ(rows->report.supervised_tokens, lines->report.supervised_tokens);
  EXPECT_GT(lines->samples.size(), 400u);
  ASSERT_EQ(rows->samples.size(), lines->samples.size());
  for (size_t i = 0; i < lines->samples.size(); ++i) {
    ASSERT_EQ(rows->samples[i].ids, lines->samples[i].ids) << i;
    ASSERT_EQ(rows->samples[i].supervised, lines->samples[i].supervised) << i;
    ASSERT_EQ(rows->samples[i].line, lines->samples[i].line) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ParquetParityTest,
                         testing::Values("messages", "conversations", "alpaca", "prompt_completion",
                                         "text", "categories", "weighted", "completion_lists"));

class ParquetJobTest : public ParquetParityTest {};

TEST_P(ParquetJobTest, IsHeldOutAndMixedLikeOtherFiles) {
  JobSpec job;
  const std::string file = std::string(64, 'a');
  job.dataset.mix = {{file, 2.0}};
  const JobFiles files = {.dataset = folder_ + "/messages.jsonl",
                          .validation = folder_ + "/text.parquet",
                          .mix = {{file, Path(".parquet")}}};
  const auto data = LoadJobData(files, job, model_.path());
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->training.report.format, "messages + text");
  EXPECT_GT(data->training.samples.size(), 1400u);
  EXPECT_GT(data->held_out.size(), 400u);
}

TEST_P(ParquetJobTest, NamesTheRowThatLacksSomething) {
  const auto data = LoadDataset(folder_ + "/missing.parquet", DatasetSpec(), model_.path());
  EXPECT_THAT(std::string(data.status().message()),
              HasSubstr("/missing.parquet: row 2: completion is missing"));
}

INSTANTIATE_TEST_SUITE_P(Files, ParquetJobTest, testing::Values("text"));

}  // namespace
}  // namespace dropbp::data
