#include "worker/trainer/inspect/preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "tests/unit/worker/data/tiny_model.h"
#include "tests/unit/worker/trainer/inspect/run_with_text.h"
#include "worker/trainer/inspect/verbs.h"

namespace dropbp::trainer {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kDialogue[] =
    R"({"messages":[{"role":"user","content":"a\u001b"},{"role":"assistant","content":"b"}]})";

class PreviewTest : public testing::Test {
 protected:
  void SetUp() override {
    data::WriteTinyModel(folder_);
    folder_.Write("data.jsonl", kDialogue);
    job_ = folder_.Write("job.yaml", "model: m\ndataset:\n  file: data.jsonl\n");
  }

  RunResult Preview(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"preview", "-f", job_, "--model", folder_.path()});
    return RunWithText(&RunPreview, arguments, "");
  }

  TemporaryFolder folder_;
  std::string job_;
};

TEST_F(PreviewTest, ShowsATokenALineWithAMarkWhereItCarriesLoss) {
  const RunResult result = Preview({});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("line 1: 24 tokens, 2 carry loss\n"),
                    HasSubstr("     258 . \"<|start|>\"\n"), HasSubstr("      97 . \"a\"\n"),
                    HasSubstr("      98 + \"b\"\n     259 + \"<|end|>\"\n      10 . \"\\n\"\n")));
  EXPECT_THAT(result.out,
              HasSubstr("1 samples (messages), 24 tokens, 2 of them carry loss (8.3 %)"));
}

TEST_F(PreviewTest, ColoursRunningTextAndLetsNothingElseThrough) {
  const RunResult result = Preview({"--color", "always"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("\x1b[32;4mb\x1b[0m"), HasSubstr("\\x1b"),
                                HasSubstr("\x1b[90m<|start|>\x1b[0m")));
}

TEST_F(PreviewTest, FollowsTheJobAndTheCommandLine) {
  job_ = folder_.Write("job.yaml", "model: m\ndataset:\n  loss_on: all_tokens\n");
  EXPECT_THAT(Preview({}).err, HasSubstr("give the data with --data FILE"));
  const std::string csv = folder_.Write("d.csv", "text\nhello\nworld\n");
  const RunResult result = Preview({"--data", csv, "--samples", "1"});
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("line 2: 6 tokens, 5 carry loss"), HasSubstr("2 samples (text)")));
  EXPECT_THAT(result.out, testing::Not(HasSubstr("line 3")));
}

TEST_F(PreviewTest, TellsHowManyRowsSamplesArePackedInto) {
  job_ = folder_.Write("job.yaml", "model: m\ndataset:\n  packing: true\n  max_length: 13\n");
  const std::string csv = folder_.Write("d.csv", "text\nhello\nworld\nagain\n");
  EXPECT_THAT(Preview({"--data", csv}).out, HasSubstr("packed into 2 rows, 1.5 samples each"));
}

TEST_F(PreviewTest, FindsTheModelOfTheJobWhereAWorkerHasIt) {
  const auto preview = [&] { return RunWithText(&RunPreview, {"preview", "-f", job_}, ""); };
  const std::filesystem::path folder = folder_.path();
  job_ = folder_.Write("job.yaml",
                       "model: " + folder.filename().string() + "\ndataset:\n  file: data.jsonl\n");
  setenv("DROPBP_MODELS", folder.parent_path().c_str(), 1);
  const RunResult found = preview();
  EXPECT_EQ(found.exit_code, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("line 1: 24 tokens, 2 carry loss\n"));
  setenv("DROPBP_MODELS", "/nowhere", 1);
  job_ = folder_.Write("job.yaml", "model: absent\ndataset:\n  file: data.jsonl\n");
  EXPECT_THAT(preview().err, HasSubstr("no folder of 'absent'; tried /nowhere/absent, "
                                       "models/absent, absent; name it with --model DIR"));
  unsetenv("DROPBP_MODELS");
}

TEST_F(PreviewTest, ShowsThatAnAnswerOfNoWeightCarriesNoLoss) {
  folder_.Write("data.jsonl",
                R"({"system":"s","conversations":[{"role":"user","content":"a"},)"
                R"({"role":"assistant","content":"b","weight":0},{"role":"user","content":"c"},)"
                R"({"role":"assistant","content":[{"type":"text","text":"d"}]}]})");
  const RunResult result = Preview({});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("     115 . \"s\"\n     259 . \"<|end|>\"\n"),
                                HasSubstr("      98 . \"b\"\n     259 . \"<|end|>\"\n"),
                                HasSubstr("     100 + \"d\"\n     259 + \"<|end|>\"\n"),
                                HasSubstr("(conversations)"), HasSubstr("2 of them carry loss")));
}

TEST_F(PreviewTest, ShowsLossOnTheCompletionOfAListOfMessages) {
  folder_.Write("data.jsonl",
                R"({"prompt":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],)"
                R"("completion":[{"role":"user","content":"c"},)"
                R"({"role":"assistant","content":"d"}]})");
  const RunResult result = Preview({});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("      98 . \"b\"\n"), HasSubstr("     100 + \"d\"\n"),
                    HasSubstr("(prompt_completion)"), HasSubstr("2 of them carry loss")));
}

TEST_F(PreviewTest, TellsWhatIsWrong) {
  folder_.Write("data.jsonl", "{\"messages\": []}");
  const RunResult result = Preview({});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("data.jsonl:1: messages is a list of 0"));
}

}  // namespace
}  // namespace dropbp::trainer
