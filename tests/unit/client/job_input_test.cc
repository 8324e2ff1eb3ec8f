#include "client/job_input.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.h"
#include "proto/support/grpc_status.h"

namespace dropbp::client {
namespace {

using testing::HasSubstr;

class JobInputTest : public testing::Test {
 protected:
  JobInputTest() : folder_(std::filesystem::path(testing::TempDir()) / "job_input_test") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "data");
    Write("data/train.jsonl", kData);
    Write("job.yaml",
          "name: first\nmodel: tiny\ndataset:\n  file: data/train.jsonl\ntraining:\n  steps: 20\n");
    arguments_.file = (folder_ / "job.yaml").string();
  }

  void Write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name) << content;
  }

  static constexpr char kData[] = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
  const std::filesystem::path folder_;
  JobArguments arguments_;
};

TEST_F(JobInputTest, ReadsTheDatasetRelativeToTheJobFile) {
  const auto input = LoadJob(arguments_);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->job.name, "first");
  EXPECT_EQ(input->dataset.name(), "train.jsonl");
  EXPECT_EQ(input->dataset.size_bytes(), static_cast<int64_t>(sizeof(kData) - 1));
  EXPECT_EQ(input->job.spec.dataset.artifact, Sha256Hex(kData));
  const v1::CreateJobRequest request = MakeCreateRequest(*input);
  EXPECT_EQ(request.job_id(), "first");
  EXPECT_EQ(request.spec().training().steps(), 20);
  EXPECT_EQ(request.spec().dataset().artifact(), Sha256Hex(kData));
  EXPECT_EQ(request.file_names().at(Sha256Hex(kData)), "data/train.jsonl") << "as it is written";
}

TEST_F(JobInputTest, ArgumentsOverrideTheFile) {
  Write("other.jsonl", "{}\n");
  arguments_.dataset = (folder_ / "other.jsonl").string();
  arguments_.sets = {"training.steps=7", "labels.team=support"};
  arguments_.name = "second";
  const auto input = LoadJob(arguments_);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->job.name, "second");
  EXPECT_EQ(input->job.spec.training.steps, 7);
  EXPECT_EQ(input->job.spec.labels.at("team"), "support");
  EXPECT_EQ(input->dataset.name(), "other.jsonl");
  EXPECT_EQ(input->file_names.at(Sha256Hex("{}\n")), arguments_.dataset);
}

TEST_F(JobInputTest, FilesOfAMixAreRelativeToTheJobFileToo) {
  Write("more.jsonl", "{}\n");
  arguments_.sets = {"dataset.mix.more.jsonl=0.5"};
  const auto input = LoadJob(arguments_);
  ASSERT_TRUE(input.ok()) << input.status();
  ASSERT_EQ(input->mix.size(), 1u);
  EXPECT_EQ(input->mix[0].first, (folder_ / "more.jsonl").string());
  EXPECT_EQ(input->mix[0].second.name(), "more.jsonl");
  EXPECT_EQ(input->mix[0].second.size_bytes(), 3);
  const v1::CreateJobRequest request = MakeCreateRequest(*input);
  EXPECT_EQ(request.spec().dataset().mix().at(Sha256Hex("{}\n")), 0.5);
  EXPECT_EQ(request.file_names().at(Sha256Hex("{}\n")), "more.jsonl");
  arguments_.sets = {"dataset.mix.gone.jsonl=1"};
  EXPECT_TRUE(absl::IsNotFound(LoadJob(arguments_).status()));
  arguments_.sets = {"dataset.mix.more.jsonl=0"};
  const auto violations = ViolationsOf(LoadJob(arguments_).status());
  ASSERT_EQ(violations.size(), 1u);
  EXPECT_EQ(violations[0].field, "dataset.mix.more.jsonl") << "as it is written";
  EXPECT_THAT(violations[0].description, HasSubstr("a number above 0"));
}

TEST_F(JobInputTest, AValidationFileIsReadLikeTheDataset) {
  Write("data/held-out.jsonl", "{}\n");
  arguments_.sets = {"dataset.validation_file=data/held-out.jsonl"};
  auto input = LoadJob(arguments_);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(input->validation.name(), "held-out.jsonl");
  EXPECT_EQ(input->job.spec.dataset.validation_artifact, Sha256Hex("{}\n"));
  Write("other.jsonl", "{} \n");
  arguments_.validation = (folder_ / "other.jsonl").string();
  input = LoadJob(arguments_);
  ASSERT_TRUE(input.ok()) << input.status();
  EXPECT_EQ(MakeCreateRequest(*input).spec().dataset().validation_artifact(), Sha256Hex("{} \n"));
  arguments_.sets.push_back("dataset.validation_share=0.1");
  EXPECT_THAT(LoadJob(arguments_).status().message(), HasSubstr("dataset.validation_share"));
}

TEST_F(JobInputTest, AValidationFileOfAnotherTypeOrNoneIsRefused) {
  Write("held-out.csv", "prompt,completion\na,b\n");
  arguments_.validation = (folder_ / "held-out.csv").string();
  EXPECT_THAT(LoadJob(arguments_).status().message(),
              HasSubstr("legal is a file of the same type"));
  arguments_.validation = (folder_ / "nowhere.jsonl").string();
  EXPECT_THAT(LoadJob(arguments_).status().message(),
              HasSubstr("--validation-dataset: found no file at "));
}

TEST_F(JobInputTest, AFileThatIsNotThereIsNamedWithItsLine) {
  Write("job.yaml",
        "model: tiny\ndataset:\n  file: data/train.jsonl\n  validation_file: gone.jsonl\n");
  EXPECT_EQ(LoadJob(arguments_).status().message(),
            arguments_.file + ":4: dataset.validation_file: found no file at " +
                (folder_ / "gone.jsonl").string());
  Write("job.yaml", "model: tiny\ndataset:\n  mix:\n    gone.jsonl: 1\n");
  for (const bool needed : {true, false}) {
    arguments_.dataset_needed = needed;
    EXPECT_EQ(LoadJob(arguments_).status().message(),
              arguments_.file + ":4: dataset.mix.gone.jsonl: found no file at " +
                  (folder_ / "gone.jsonl").string());
  }
}

TEST_F(JobInputTest, EveryWrongSetIsNamed) {
  arguments_.sets = {"training.stepz=7", "dropbp.drop_rate=2"};
  const absl::Status status = LoadJob(arguments_).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(status.message(),
              HasSubstr("training.stepz: unknown field; did you mean training.steps?"));
  EXPECT_THAT(status.message(), HasSubstr("dropbp.drop_rate: found 2"));
}

TEST_F(JobInputTest, RulesBetweenFieldsAreCheckedHere) {
  arguments_.sets = {"training.micro_batch_size=7"};
  const absl::Status status = LoadJob(arguments_).status();
  ASSERT_EQ(ViolationsOf(status).size(), 1u) << status;
  EXPECT_EQ(ViolationsOf(status)[0].field, "training.global_batch_size");
  arguments_.sets.clear();
  Write("job.yaml",
        "model: tiny\ndataset:\n  file: data/train.jsonl\ntraining:\n  global_batch_size: 6\n");
  EXPECT_EQ(ViolationsOf(LoadJob(arguments_).status())[0].field,
            arguments_.file + ":5: training.global_batch_size");
}

TEST_F(JobInputTest, AMissingDatasetIsNamedWithItsPath) {
  std::filesystem::remove(folder_ / "data/train.jsonl");
  const absl::Status status = LoadJob(arguments_).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(status.message(), arguments_.file + ":4: dataset.file: found no file at " +
                                  (folder_ / "data/train.jsonl").string());
}

TEST_F(JobInputTest, AnEmptyDatasetAndAFolderAreRefused) {
  Write("data/train.jsonl", "");
  EXPECT_THAT(LoadJob(arguments_).status().message(), HasSubstr("is empty"));
  arguments_.dataset = folder_.string();
  EXPECT_THAT(LoadJob(arguments_).status().message(), HasSubstr("is not a regular file"));
}

TEST_F(JobInputTest, AJobWithoutDataSaysWhereToNameIt) {
  Write("job.yaml", "model: tiny\n");
  EXPECT_THAT(LoadJob(arguments_).status().message(), HasSubstr("dataset.file"));
}

}  // namespace
}  // namespace dropbp::client
