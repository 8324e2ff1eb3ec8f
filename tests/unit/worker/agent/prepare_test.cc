#include "worker/agent/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "proto/support/job_spec_proto.h"
#include "tests/support/test_data.h"
#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class PrepareTest : public ::testing::Test {
 protected:
  PrepareTest() : model_(dropbp::testing::TinyModel().value()) {
    spec_ = dropbp::testing::TinyJob();
    spec_.model = "tiny";
  }

  v1::PrepareResult Check(const std::string& dataset, const std::string& validation = "") {
    PrepareOptions options = {.model_dir = model_,
                              .files = {.dataset = folder_ / "cache/data", .mix = mix_}};
    WriteText(options.files.dataset, dataset);
    if (!validation.empty()) {
      options.files.validation = folder_ / "cache/held-out";
      WriteText(options.files.validation, validation);
    }
    return PrepareModelAndData(JobSpecToProto(spec_), options);
  }
  // A copy of the model that a test may break, named "tiny".
  void CopyModel() {
    std::filesystem::create_directories(folder_ / "models");
    std::filesystem::copy(model_, folder_ / "models/tiny",
                          std::filesystem::copy_options::recursive);
    model_ = folder_ / "models/tiny";
  }

  TempFolder folder_;
  std::string model_;
  JobSpec spec_;
  std::map<std::string, std::string> mix_;
};

TEST_F(PrepareTest, ReportsDataAndShapes) {
  const v1::PrepareResult result = Check(dropbp::testing::TinyDataset(64));
  EXPECT_EQ(result.error(), "");
  EXPECT_EQ(result.dataset_report().samples(), 64);
  EXPECT_GT(result.dataset_report().supervised_tokens(), 64);
  EXPECT_EQ(result.model_shape().layers(), 4);
  EXPECT_EQ(result.model_shape().hidden_size(), 64);
}

TEST_F(PrepareTest, HoldsSamplesOut) {
  spec_.dataset.validation_share = 0.125;
  v1::PrepareResult result = Check(dropbp::testing::TinyDataset(64));
  EXPECT_EQ(result.error(), "");
  EXPECT_EQ(result.dataset_report().samples(), 56);
  EXPECT_EQ(result.dataset_report().validation_samples(), 8);
  EXPECT_GT(result.dataset_report().validation_supervised_tokens(), 8);
  spec_.dataset.validation_share = 0;
  result = Check(dropbp::testing::TinyDataset(64), dropbp::testing::TinyDataset(9));
  EXPECT_EQ(result.error(), "");
  EXPECT_EQ(result.dataset_report().samples(), 64);
  EXPECT_EQ(result.dataset_report().validation_samples(), 9);
}

TEST_F(PrepareTest, AnErrorInTheValidationFileNamesIt) {
  const v1::PrepareResult result = Check(dropbp::testing::TinyDataset(64),
                                         dropbp::testing::TinyDataset(2) + "{\"prompt\": 1}\n");
  EXPECT_THAT(result.error(), StartsWith("validation file:3: "));
}

TEST_F(PrepareTest, RefusesFewerSamplesThanOneBatch) {
  spec_.training.global_batch_size = 16;
  EXPECT_EQ(Check(dropbp::testing::TinyDataset(9)).error(),
            "training.global_batch_size: found 16, legal is at most the number of samples in the "
            "dataset, 9");
}

TEST_F(PrepareTest, CountsRowsWhereSamplesArePacked) {
  spec_.dataset.packing = true;
  spec_.dataset.max_length = 256;
  const v1::PrepareResult result = Check(dropbp::testing::TinyDataset(64));
  EXPECT_EQ(result.error(), "");
  EXPECT_EQ(result.dataset_report().samples(), 64);
  EXPECT_GT(result.dataset_report().rows(), 0);
  EXPECT_LT(result.dataset_report().rows(), 40);
  spec_.training.global_batch_size = 40;
  EXPECT_EQ(Check(dropbp::testing::TinyDataset(64)).error(),
            absl::StrCat("training.global_batch_size: found 40, legal is at most the number of "
                         "rows that samples are packed into, ",
                         result.dataset_report().rows()));
}

TEST_F(PrepareTest, ChecksEveryFileOfAMixAndNamesIt) {
  const std::string good(64, 'c'), bad(64, 'd');
  const auto put = [this](const std::string& sha256, const std::string& content) {
    spec_.dataset.mix[sha256] = 0.5;
    mix_[sha256] = folder_ / "cache/" + sha256;
    WriteText(mix_[sha256], content);
  };
  put(good, dropbp::testing::TinyDataset(20));
  EXPECT_EQ(Check(dropbp::testing::TinyDataset(64)).dataset_report().samples(), 74);
  put(bad, "{\"prompt\": \n");
  const std::string error = Check(dropbp::testing::TinyDataset(64)).error();
  EXPECT_THAT(error, StartsWith("dataset.mix file " + bad + ":1: "));
  EXPECT_THAT(error, Not(HasSubstr(folder_.path())));
}

TEST_F(PrepareTest, NamesTheLineOfBrokenData) {
  const std::string error = Check(dropbp::testing::TinyDataset(20) + "{\"prompt\": \n").error();
  EXPECT_THAT(error, HasSubstr("dataset:21: "));
  EXPECT_THAT(error, Not(HasSubstr(folder_.path()))) << "paths of the worker are its own affair";
}

TEST_F(PrepareTest, RefusesTargetModulesThatTheModelDoesNotHave) {
  spec_.lora.target_modules = {"q_proj", "query"};
  EXPECT_THAT(Check(dropbp::testing::TinyDataset(64)).error(),
              StartsWith("lora.target_modules: found 'query', which model tiny does not have"));
}

TEST_F(PrepareTest, RefusesWeightsThatAreCutShort) {
  CopyModel();
  const std::string weights = model_ + "/model.safetensors";
  std::filesystem::resize_file(weights, std::filesystem::file_size(weights) - 1);
  EXPECT_THAT(Check(dropbp::testing::TinyDataset(64)).error(),
              AllOf(HasSubstr("tiny/model.safetensors"), Not(HasSubstr(folder_.path()))));
}

TEST_F(PrepareTest, RefusesAConfigThatIsNoModel) {
  CopyModel();
  WriteText(model_ + "/config.json", "{\"model_type\": \"bert\"}");
  EXPECT_THAT(Check(dropbp::testing::TinyDataset(64)).error(),
              AllOf(HasSubstr("tiny/config.json"), HasSubstr("bert")));
}

}  // namespace
}  // namespace dropbp::agent
