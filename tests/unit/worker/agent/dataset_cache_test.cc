#include "worker/agent/dataset_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "core/base/files.h"
#include "tests/unit/worker/agent/gateway_server.h"
#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::HasSubstr;

class DatasetCacheTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::string> Fetch(const std::string& sha256) {
    return cache_.Fetch(sha256, cancel_);
  }
  int FilesInFolder() const {
    int files = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      ++files;
    }
    return files;
  }

  TempFolder folder_;
  GatewayServer server_;
  ArtifactClient artifacts_{{.address = server_.address()}};
  DatasetCache cache_{folder_.path(), artifacts_};
  CancelToken cancel_;
};

TEST_F(DatasetCacheTest, DownloadsAFileOnce) {
  const std::string content(3 << 20, 'd');
  const std::string sha256 = server_.AddArtifact(content);
  const auto path = Fetch(sha256);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(ReadText(*path), content);
  EXPECT_EQ(Fetch(sha256).value(), *path);
  EXPECT_EQ(server_.Downloads(), 1);
}

TEST_F(DatasetCacheTest, SharesADownloadAmongConcurrentRequests) {
  const std::string sha256 = server_.AddArtifact(std::string(1 << 20, 'd'));
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_TRUE(Fetch(sha256).ok()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(server_.Downloads(), 1);
}

TEST_F(DatasetCacheTest, RefusesContentWithAnotherHash) {
  const std::string sha256 = Sha256Hex("wanted");
  server_.ServeInstead(sha256, "other");
  const auto path = Fetch(sha256);
  EXPECT_EQ(path.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(path.status().message()), HasSubstr("expected " + sha256));
  EXPECT_EQ(FilesInFolder(), 0);
  server_.ServeInstead(sha256, "wanted");
  EXPECT_TRUE(Fetch(sha256).ok());
}

TEST_F(DatasetCacheTest, ReplacesABrokenFileOnDisk) {
  const std::string sha256 = server_.AddArtifact("good");
  WriteText(folder_ / sha256, "broken");
  EXPECT_EQ(ReadText(Fetch(sha256).value()), "good");
}

TEST_F(DatasetCacheTest, UsesAGoodFileOfAnEarlierAgent) {
  const std::string sha256 = Sha256Hex("kept");
  WriteText(folder_ / sha256, "kept");
  EXPECT_TRUE(Fetch(sha256).ok());
  EXPECT_EQ(server_.Downloads(), 0);
}

TEST_F(DatasetCacheTest, TriesAgainWhileTheCoordinatorIsAway) {
  const std::string sha256 = server_.AddArtifact("data");
  server_.FailNextTransfers(3, grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Fetch(sha256).ok());
  EXPECT_EQ(server_.Downloads(), 4);
}

TEST_F(DatasetCacheTest, SaysThatTheCoordinatorHasNoSuchFile) {
  const std::string sha256 = Sha256Hex("unknown");
  EXPECT_EQ(Fetch(sha256).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FilesInFolder(), 0);
}

TEST_F(DatasetCacheTest, RefusesANameThatIsNoHash) {
  EXPECT_EQ(Fetch("../../etc/passwd").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DatasetCacheTest, GivesUpWhenItIsCancelled) {
  server_.Stop();
  std::thread canceller([this] { cancel_.Cancel(); });
  EXPECT_EQ(Fetch(Sha256Hex("x")).status().code(), absl::StatusCode::kCancelled);
  canceller.join();
}

TEST_F(DatasetCacheTest, UploadsAFileAndTriesAgainAfterATransientFailure) {
  const std::string content(3 << 20, 'u');
  WriteText(folder_ / "result", content);
  server_.FailNextTransfers(2, grpc::StatusCode::UNAVAILABLE);
  const auto artifact = artifacts_.Upload(folder_ / "result", "adapter", cancel_);
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  EXPECT_EQ(artifact->name(), "adapter");
  EXPECT_EQ(artifact->size_bytes(), 3 << 20);
  EXPECT_EQ(server_.Artifact(artifact->sha256()), content);
}

TEST_F(DatasetCacheTest, GivesUpAnUploadThatIsRefused) {
  WriteText(folder_ / "result", "content");
  server_.FailNextTransfers(1, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(artifacts_.Upload(folder_ / "result", "adapter", cancel_).status().code(),
            absl::StatusCode::kPermissionDenied);
}

}  // namespace
}  // namespace dropbp::agent
