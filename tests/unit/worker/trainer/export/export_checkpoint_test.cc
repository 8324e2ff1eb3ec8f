// What is exported of a checkpoint are the files of a job that ended there.
#include "worker/trainer/export/export_checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/checkpoint_job.h"
#include "core/job/job_file.h"
#include "tests/unit/worker/trainer/train/checkpoint_folder.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"
#include "worker/trainer/model/adapter_files.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Of a tiny model with so many layers.
std::string ConfigOf(int layers) {
  return absl::StrCat(R"({"model_type": "llama", "vocab_size": 50, "hidden_size": 32,
    "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "tie_word_embeddings": true, "hidden_act": "silu", "max_position_embeddings": 64,
    "num_hidden_layers": )",
                      layers, "}");
}

// A job of that method, or dora, by depth and with everything that is random.
JobSpec SpecOf(const std::string& method) {
  JobSpec spec = TinySpec();
  spec.model = "tiny";
  spec.method = method == "dora" ? "lora" : method;
  spec.lora.use_dora = method == "dora";
  spec.lora.dropout = method == "lora" ? 0.1 : 0;
  spec.prompt_tuning.num_virtual_tokens = 3;
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.allocation = "depth";
  spec.checkpoint.every_steps = 1;
  return spec;
}

// By file name.
std::map<std::string, std::string> ContentOf(const std::string& folder) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::directory_iterator(folder))
    content[entry.path().filename()] = *ReadFile(entry.path(), 1 << 26);
  return content;
}

class ExportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    at::set_num_threads(1);
    WriteBase(model_dir_, kTinyUnits / 2);
  }

  // A model folder with random weights.
  void WriteBase(const std::string& dir, int layers) const {
    JobSpec full = TinySpec();
    full.method = "full";
    hf::ModelConfig config = TinyConfig();
    config.shape.layers = layers;
    const std::string from = Path("config");
    fs::create_directories(from);
    ASSERT_TRUE(WriteFileAtomically(from + "/config.json", ConfigOf(layers)).ok());
    ASSERT_TRUE(WriteModel(dir, *TinyModel(full, config), from).ok());
  }

  std::string Path(const std::string& name) const { return folder_.RankFolder(0) + "-" + name; }

  std::vector<TinyRank> Train(const JobSpec& spec, int ranks, const TinyData& data = {}) const {
    return TrainTiny(
        spec, ranks, nullptr, nullptr,
        [this](Assignment& one) { one.output_dir = folder_.RankFolder(one.rank); }, data);
  }

  // The checkpoint of the trained job after `step` steps, as it is downloaded.
  std::string Download(const JobSpec& spec, int ranks, int64_t step) const {
    std::string folder = folder_.Complete(spec, ranks, step);
    EXPECT_TRUE(WriteFileAtomically(folder + "/" + kCheckpointJobFile, FormatJobFile(spec)).ok());
    return folder;
  }

  // What a job leaves behind.
  std::map<std::string, std::string> ResultOf(const TinyRank& rank, const JobSpec& spec) const {
    const std::string dir = Path("result");
    fs::remove_all(dir);
    EXPECT_TRUE(WriteResult(dir, *rank.model, spec, model_dir_).ok());
    return ContentOf(dir);
  }

  absl::StatusOr<ExportReport> Export(const std::string& checkpoint,
                                      CheckpointValues values = CheckpointValues::kOwn) const {
    fs::remove_all(out_dir_);
    return ExportCheckpoint({.checkpoint_dir = checkpoint,
                             .model_dir = model_dir_,
                             .out_dir = out_dir_,
                             .values = values});
  }

  CheckpointFolder folder_;
  std::string model_dir_ = Path("model");
  std::string out_dir_ = Path("out");
};

class ExportMethodTest : public ExportTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(ExportMethodTest, IsWhatAJobLeavesThatEndsThere) {
  for (const int ranks : {1, 2}) {
    SCOPED_TRACE(absl::StrCat(ranks, " ranks"));
    JobSpec ended = SpecOf(GetParam());
    ended.training.steps = 3;
    const std::map<std::string, std::string> result = ResultOf(Train(ended, ranks)[0], ended);
    const JobSpec spec = SpecOf(GetParam());
    const std::vector<TinyRank> trained = Train(spec, ranks);
    const auto report = Export(Download(spec, ranks, 3));
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->step, 3);
    EXPECT_EQ(report->is_model, spec.method == "full");
    EXPECT_TRUE(ContentOf(out_dir_) == result);
    EXPECT_FALSE(ContentOf(out_dir_) == ResultOf(trained[0], spec)) << "three steps later";
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, ExportMethodTest,
                         ::testing::Values("lora", "dora", "qlora", "ia3", "prompt_tuning", "full"),
                         [](const auto& info) { return std::string(info.param); });

// Learns far too fast: the first evaluation is the best.
TEST_F(ExportTest, TheBestIsTheResultOfAJobThatKeepsTheBest) {
  JobSpec spec = SpecOf("lora");
  spec.training.learning_rate = 3;
  spec.evaluation.every_steps = 1;
  spec.evaluation.result = "best";
  TinyData data;
  data.evaluation_set.samples = TinySamples(9);
  const std::vector<TinyRank> trained = Train(spec, 2, data);
  const std::string checkpoint = Download(spec, 2, kTinySteps - 1);
  const auto report = Export(checkpoint, CheckpointValues::kBest);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_LT(report->step, kTinySteps - 1);
  EXPECT_TRUE(ContentOf(out_dir_) == ResultOf(trained[0], spec));
  EXPECT_EQ(Export(checkpoint)->step, kTinySteps - 1);
  EXPECT_FALSE(ContentOf(out_dir_) == ResultOf(trained[0], spec));
}

class ExportRefusalTest : public ExportTest {
 protected:
  void SetUp() override {
    ExportTest::SetUp();
    spec_.training.steps = 2;
    Train(spec_, 1);
    checkpoint_ = Download(spec_, 1, 1);
  }

  // The refusal; nothing may have been written.
  std::string Refused(absl::StatusCode code, CheckpointValues values = CheckpointValues::kOwn) {
    const absl::Status status = Export(checkpoint_, values).status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_FALSE(fs::exists(out_dir_));
    return std::string(status.message());
  }

  JobSpec spec_ = SpecOf("lora");
  std::string checkpoint_;
};

TEST_F(ExportRefusalTest, TakesNoCheckpointWithoutItsJob) {
  fs::remove(checkpoint_ + "/job.yaml");
  EXPECT_THAT(Refused(absl::StatusCode::kNotFound), HasSubstr(checkpoint_ + "/job.yaml"));
}

TEST_F(ExportRefusalTest, TakesNoOtherJob) {
  spec_.lora.alpha *= 2;
  ASSERT_TRUE(WriteFileAtomically(checkpoint_ + "/job.yaml", FormatJobFile(spec_)).ok());
  EXPECT_THAT(Refused(absl::StatusCode::kFailedPrecondition), HasSubstr("is that of another job"));
}

TEST_F(ExportRefusalTest, FindsAFlippedByte) {
  const std::string part = checkpoint_ + "/" + PartFileName(0, 1);
  std::string content = *ReadFile(part, 1 << 26);
  content[content.size() / 2] ^= 1;
  std::ofstream(part, std::ios::binary) << content;
  EXPECT_THAT(Refused(absl::StatusCode::kDataLoss), HasSubstr(part));
}

TEST_F(ExportRefusalTest, TakesNoOtherModel) {
  WriteBase(model_dir_, 2);
  EXPECT_THAT(Refused(absl::StatusCode::kInvalidArgument),
              HasSubstr(absl::StrCat("(the job trains model \"tiny\", --model is ", model_dir_)));
  model_dir_ = Path("nowhere");
  EXPECT_THAT(Refused(absl::StatusCode::kNotFound), HasSubstr(model_dir_));
}

TEST_F(ExportRefusalTest, HasNoBestWhereNoneIsKept) {
  EXPECT_THAT(Refused(absl::StatusCode::kInvalidArgument, CheckpointValues::kBest),
              HasSubstr("no weights of a best evaluation"));
}

TEST_F(ExportRefusalTest, WritesOverNothing) {
  const ExportOptions options = {
      .checkpoint_dir = checkpoint_, .model_dir = model_dir_, .out_dir = out_dir_};
  fs::create_directories(out_dir_);
  EXPECT_TRUE(ExportCheckpoint(options).ok()) << "an empty folder";
  const absl::Status status = ExportCheckpoint(options).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(out_dir_ + " is there already"));
}

}  // namespace
}  // namespace dropbp::trainer
