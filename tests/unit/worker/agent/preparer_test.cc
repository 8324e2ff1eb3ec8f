#include "worker/agent/preparer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "core/base/files.h"
#include "tests/unit/worker/agent/gateway_server.h"
#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::HasSubstr;

// The checking program is a shell script, so that it can misbehave.
class PreparerTest : public ::testing::Test {
 protected:
  PreparerTest() {
    options_.models_dir = folder_ / "models";
    WriteText(folder_ / "models/tiny/config.json", "{}");
    std::filesystem::create_directories(folder_ / "cache");
    job_.set_job_id("job");
    job_.mutable_spec()->set_model("tiny");
    job_.mutable_spec()->mutable_dataset()->set_artifact(server_.AddArtifact("the data"));
  }

  // Checks the job with a program that runs this script.
  v1::PrepareResult Check(const std::string& script) {
    const std::string program = folder_ / "check";
    WriteText(program, "#!/bin/sh\n" + script + "\n");
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    Preparer preparer(options_, program, spawner_, cache_, checkpoints_,
                      [this](v1::SessionRequest frame) {
                        absl::MutexLock lock(&mutex_);
                        answers_.push_back(frame.prepare_result());
                      });
    preparer.Prepare(job_);
    absl::MutexLock lock(&mutex_);
    const auto answered = [this] { return !answers_.empty(); };
    mutex_.AwaitWithTimeout(absl::Condition(&answered), absl::Seconds(30));
    return answers_.empty() ? v1::PrepareResult() : answers_.back();
  }

  TempFolder folder_;
  GatewayServer server_;
  AgentOptions options_;
  ArtifactClient artifacts_{{.address = server_.address()}};
  DatasetCache cache_{folder_ / "cache", artifacts_};
  CheckpointCache checkpoints_{folder_ / "checkpoints", artifacts_};
  Spawner spawner_;
  v1::PrepareJob job_;
  absl::Mutex mutex_;
  std::vector<v1::PrepareResult> answers_;
};

TEST_F(PreparerTest, GivesTheCheckItsFilesAndRelaysTheAnswer) {
  v1::PrepareResult found;
  found.mutable_dataset_report()->set_samples(550);
  WriteText(folder_ / "answer", found.SerializeAsString());
  const v1::PrepareResult result = Check("echo \"$@\" > " + folder_ / "arguments" + "; cat > " +
                                         folder_ / "spec" + "; cat " + folder_ / "answer");
  EXPECT_EQ(result.job_id(), "job");
  EXPECT_EQ(result.error(), "");
  EXPECT_EQ(result.dataset_report().samples(), 550);
  EXPECT_EQ(ReadText(folder_ / "arguments"), "prepare --model-dir " + folder_ / "models/tiny" +
                                                 " --dataset " + folder_ / "cache/" +
                                                 Sha256Hex("the data") + "\n");
  EXPECT_EQ(ReadText(folder_ / "spec"), job_.spec().SerializeAsString());
}

TEST_F(PreparerTest, FetchesTheFilesOfAMix) {
  const std::string sha256 = server_.AddArtifact("more data");
  (*job_.mutable_spec()->mutable_dataset()->mutable_mix())[sha256] = 0.5;
  Check("echo \"$@\" > " + folder_ / "arguments");
  EXPECT_THAT(ReadText(folder_ / "arguments"), HasSubstr(" --mix " + folder_ / "cache/" + sha256));
  EXPECT_EQ(ReadText(folder_ / "cache/" + sha256), "more data");
}

TEST_F(PreparerTest, FetchesTheResultThatTheJobBeginsFrom) {
  v1::Artifact& file = *job_.add_init_files();
  file.set_name("adapter_model.safetensors");
  file.set_sha256(server_.AddArtifact("the adapter"));
  Check("exit 0");
  EXPECT_EQ(ReadText(folder_ / "checkpoints/job/init/adapter_model.safetensors"), "the adapter");
}

TEST_F(PreparerTest, SaysThatTheResultToBeginFromCouldNotBeFetched) {
  v1::Artifact& file = *job_.add_init_files();
  file.set_name("adapter_model.safetensors");
  file.set_sha256(Sha256Hex("nowhere"));
  EXPECT_THAT(Check("exit 0").error(), HasSubstr(Sha256Hex("nowhere")));
}

TEST_F(PreparerTest, TellsACrashOfTheCheck) {
  const v1::PrepareResult result = Check("echo reading vocabulary >&2; kill -SEGV $$");
  EXPECT_THAT(result.error(), HasSubstr("ended with signal 11 (Segmentation fault)"));
  EXPECT_THAT(result.error(), HasSubstr("reading vocabulary"));
  EXPECT_FALSE(result.retryable());
}

TEST_F(PreparerTest, MayRetryAfterAKillFromOutside) {
  const v1::PrepareResult result = Check("kill -KILL $$");
  EXPECT_THAT(result.error(), HasSubstr("out of memory?"));
  EXPECT_TRUE(result.retryable());
}

TEST_F(PreparerTest, TellsAnExitWithoutAnAnswer) {
  EXPECT_THAT(Check("echo no >&2; exit 2").error(), HasSubstr("exit code 2: no"));
}

TEST_F(PreparerTest, NamesAModelThatIsNotHere) {
  job_.mutable_spec()->set_model("huge");
  const v1::PrepareResult result = Check("exit 0");
  EXPECT_EQ(result.error(), "model: found 'huge', this worker has tiny");
  EXPECT_FALSE(result.retryable());
}

TEST_F(PreparerTest, SaysThatTheDatasetCouldNotBeFetched) {
  const std::string sha256 = Sha256Hex("wanted");
  server_.ServeInstead(sha256, "other");
  job_.mutable_spec()->mutable_dataset()->set_artifact(sha256);
  const v1::PrepareResult result = Check("exit 0");
  EXPECT_THAT(result.error(), HasSubstr("expected " + sha256));
  EXPECT_TRUE(result.retryable());
}

}  // namespace
}  // namespace dropbp::agent
