#include "worker/agent/checkpoint_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>

#include "core/base/files.h"
#include "core/checkpoint/manifest.h"
#include "tests/unit/worker/agent/gateway_server.h"
#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class CheckpointCacheTest : public ::testing::Test {
 protected:
  void Keep(int64_t step, const std::string& content = "part", const std::string& job = "job") {
    WriteText(folder_ / "written", content);
    cache_.Keep(job, step, folder_ / "written", PartFileName(0, 1));
  }
  v1::Checkpoint Checkpoint(int64_t step, const std::vector<std::string>& parts) {
    v1::Checkpoint checkpoint;
    checkpoint.set_step(step);
    checkpoint.mutable_manifest()->set_sha256(server_.AddArtifact("manifest"));
    for (const std::string& part : parts) {
      checkpoint.add_parts()->set_sha256(server_.AddArtifact(part));
    }
    return checkpoint;
  }
  absl::StatusOr<std::string> Fetch(const v1::Checkpoint& checkpoint) {
    return cache_.Fetch("job", checkpoint, cancel_);
  }
  std::set<std::string> Steps(const std::string& job = "job") const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / ("cache/" + job))) {
      names.insert(entry.path().filename());
    }
    return names;
  }

  TempFolder folder_;
  GatewayServer server_;
  ArtifactClient artifacts_{{.address = server_.address()}};
  CheckpointCache cache_{folder_ / "cache", artifacts_};
  CancelToken cancel_;
};

TEST_F(CheckpointCacheTest, FetchesOnlyWhatIsNotHere) {
  Keep(5, "here");
  v1::Checkpoint one = Checkpoint(5, {"here"});
  const auto folder = Fetch(one);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(ReadText(*folder + "/" + PartFileName(0, 1)), "here");
  EXPECT_EQ(ReadText(*folder + "/" + kManifestFile), "manifest");
  EXPECT_EQ(server_.Downloads(), 1);
  EXPECT_EQ(Fetch(one).value(), *folder);
  EXPECT_EQ(server_.Downloads(), 1);
}

TEST_F(CheckpointCacheTest, FetchesAgainWhatHasChangedOnDisk) {
  Keep(5, "changed");
  const auto folder = Fetch(Checkpoint(5, {"right"}));
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(ReadText(*folder + "/" + PartFileName(0, 1)), "right");
}

TEST_F(CheckpointCacheTest, TakesNoContentWithAnotherHash) {
  const v1::Checkpoint checkpoint = Checkpoint(5, {"wanted"});
  server_.ServeInstead(Sha256Hex("wanted"), "other");
  EXPECT_EQ(Fetch(checkpoint).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(CheckpointCacheTest, HoldsAResultToBeginFromBesideTheSteps) {
  google::protobuf::RepeatedPtrField<v1::Artifact> files;
  files.Add()->set_name("adapter_model.safetensors");
  files[0].set_sha256(server_.AddArtifact("the adapter"));
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto folder = cache_.FetchInit("job", files, cancel_);
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(ReadText(*folder + "/adapter_model.safetensors"), "the adapter");
    EXPECT_EQ(server_.Downloads(), 1);
  }
  for (const int64_t step : {1, 2, 3, 4}) Keep(step);
  EXPECT_THAT(Steps(), ElementsAre("init", "step-2", "step-3", "step-4"));
  for (const char* name : {"", "..", "../evil", "a/b"}) {
    files[0].set_name(name);
    EXPECT_TRUE(absl::IsInvalidArgument(cache_.FetchInit("job", files, cancel_).status())) << name;
  }
}

TEST_F(CheckpointCacheTest, KeepsTheNewestThreeSteps) {
  for (const int64_t step : {8, 9, 10, 11, 12}) Keep(step);
  EXPECT_THAT(Steps(), ElementsAre("step-10", "step-11", "step-12"));
}

TEST_F(CheckpointCacheTest, ForgetsStepsThatAreMadeAgain) {
  for (const int64_t step : {10, 20, 30}) Keep(step);
  ASSERT_TRUE(Fetch(Checkpoint(20, {"part"})).ok());
  EXPECT_THAT(Steps(), ElementsAre("step-10", "step-20"));
}

TEST_F(CheckpointCacheTest, ForgetsJobsOfWhichNothingWasSavedForAWeek) {
  Keep(5, "part", "old");
  Keep(5, "part", "young");
  const auto now = fs::file_time_type::clock::now();
  fs::last_write_time(folder_ / "cache/old", now - std::chrono::hours(24 * 8));
  fs::last_write_time(folder_ / "cache/young", now - std::chrono::hours(24 * 6));
  Keep(5);
  EXPECT_FALSE(fs::exists(folder_ / "cache/old"));
  EXPECT_THAT(Steps("young"), ElementsAre("step-5"));
}

}  // namespace
}  // namespace dropbp::agent
