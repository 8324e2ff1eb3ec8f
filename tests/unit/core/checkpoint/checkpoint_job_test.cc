#include "core/checkpoint/checkpoint_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/files.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "core/job/job_file.h"
#include "tests/unit/core/job/legal_spec.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

class CheckpointJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    spec_.training.steps = 9;
    const CheckpointManifest manifest{
        .identity = JobIdentity(spec_),
        .step = 4,
        .parts = {{.file = PartFileName(0, 1), .size_bytes = 1, .sha256 = std::string(64, 'b')}}};
    ASSERT_TRUE(WriteManifest(folder_, manifest).ok());
  }
  ~CheckpointJobTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& text) const {
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/job.yaml", text).ok());
  }

  std::string folder_ = ::testing::TempDir() + "checkpoint_job_XXXXXX";
  JobSpec spec_ = LegalSpec();
};

TEST_F(CheckpointJobTest, IsReadWhereItIsThatOfTheManifest) {
  Write(FormatJobFile(spec_));
  const auto read = ReadCheckpointJob(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->training.steps, 9);
  spec_.priority = 7;  // determines nothing
  Write(FormatJobFile(spec_));
  EXPECT_TRUE(ReadCheckpointJob(folder_).ok());
}

TEST_F(CheckpointJobTest, ThatOfAnotherJobIsRefused) {
  spec_.lora.alpha = 64;
  Write(FormatJobFile(spec_));
  const absl::Status status = ReadCheckpointJob(folder_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(folder_ + "/job.yaml: found a job with identity " + JobIdentity(spec_)));
}

TEST_F(CheckpointJobTest, AMissingOrBrokenOneIsNamed) {
  EXPECT_TRUE(absl::IsNotFound(ReadCheckpointJob(folder_).status()));
  EXPECT_THAT(std::string(ReadCheckpointJob(folder_).status().message()),
              HasSubstr("`dropbp download JOB --checkpoint 4 --to " + folder_ + "`"));
  Write("training: {steps: many}\n");
  EXPECT_TRUE(absl::IsInvalidArgument(ReadCheckpointJob(folder_).status()));
  EXPECT_THAT(std::string(ReadCheckpointJob(folder_).status().message()),
              HasSubstr(folder_ + "/job.yaml:1: training.steps"));
}

}  // namespace
}  // namespace dropbp
