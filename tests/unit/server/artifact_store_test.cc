#include "server/artifacts/artifact_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "proto/support/grpc_status.h"
#include "tests/unit/server/temp_dir.h"

namespace dropbp::server {
namespace {

namespace fs = std::filesystem;

class ArtifactStoreTest : public ::testing::Test {
 protected:
  ArtifactStoreTest() : store_(ArtifactStore::Open(dir_.path(), 1000).value()) {}

  absl::Status Upload(const std::string& content, const std::string& sha256, int64_t size) {
    ASSIGN_OR_RETURN(auto upload, store_->NewUpload(sha256, size));
    RETURN_IF_ERROR(upload->Write(content));
    return upload->Commit();
  }

  int FilesOnDisk() const {
    int files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir_.path())) {
      files += entry.is_regular_file();
    }
    return files;
  }

  TempDir dir_;
  std::unique_ptr<ArtifactStore> store_;
};

TEST_F(ArtifactStoreTest, GivesBackWhatWasStoredUnderItsHash) {
  const std::string hash = Sha256Hex("content");
  ASSERT_TRUE(Upload("content", hash, 7).ok());
  EXPECT_EQ(store_->SizeOf(hash).value(), 7);
  auto reader = store_->Read(hash).value();
  EXPECT_EQ(reader->Read(4).value(), "cont");
  EXPECT_EQ(reader->Read(100).value(), "ent");
  EXPECT_EQ(reader->Read(100).value(), "");
  EXPECT_TRUE(fs::exists(dir_.path() + "/sha256/" + hash.substr(0, 2) + "/" + hash));
}

TEST_F(ArtifactStoreTest, RefusesAWrongHashAndLeavesNothing) {
  const std::string promised = Sha256Hex("other");
  const absl::Status status = Upload("content", promised, 7);
  EXPECT_EQ(ReasonOf(status), "HASH_MISMATCH");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(Sha256Hex("content")));
  EXPECT_FALSE(store_->Has(promised));
  EXPECT_EQ(FilesOnDisk(), 0);
}

TEST_F(ArtifactStoreTest, RefusesTooFewAndTooManyBytesAndLeavesNothing) {
  const std::string hash = Sha256Hex("content");
  EXPECT_EQ(ReasonOf(Upload("content", hash, 8)), "SIZE_MISMATCH");
  EXPECT_EQ(ReasonOf(Upload("content", hash, 6)), "SIZE_MISMATCH");
  EXPECT_EQ(FilesOnDisk(), 0);
}

TEST_F(ArtifactStoreTest, AnAbandonedUploadLeavesNothing) {
  {
    auto upload = store_->NewUpload(Sha256Hex("content"), 7).value();
    ASSERT_TRUE(upload->Write("cont").ok());
    EXPECT_EQ(FilesOnDisk(), 1);
  }
  EXPECT_EQ(FilesOnDisk(), 0);
}

TEST_F(ArtifactStoreTest, ForgetsAtItsStartWhatACrashLeft) {
  std::ofstream(dir_.path() + "/incoming/half") << "cont";
  store_.reset();
  store_ = ArtifactStore::Open(dir_.path(), 1000).value();
  EXPECT_EQ(FilesOnDisk(), 0);
}

TEST_F(ArtifactStoreTest, RefusesMalformedHeadersWithEveryViolation) {
  const absl::Status status = store_->NewUpload("../../etc/passwd", 1001).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const auto violations = ViolationsOf(status);
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_EQ(violations[0].field, "header.sha256");
  EXPECT_EQ(violations[1].field, "header.size_bytes");
}

TEST_F(ArtifactStoreTest, NeverOpensAPathInPlaceOfAHash) {
  std::ofstream(dir_.path() + "/sha256/secret") << "s";
  EXPECT_EQ(ReasonOf(store_->Read("../secret").status()), "ARTIFACT_NOT_FOUND");
}

TEST_F(ArtifactStoreTest, StoresTheSameContentTwice) {
  const std::string hash = Sha256Hex("");
  EXPECT_TRUE(Upload("", hash, 0).ok());
  EXPECT_TRUE(Upload("", hash, 0).ok());
  EXPECT_EQ(FilesOnDisk(), 1);
}

}  // namespace
}  // namespace dropbp::server
