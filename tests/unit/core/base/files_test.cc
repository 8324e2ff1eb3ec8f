#include "core/base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace dropbp {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kPlenty = 1 << 20;
// FIPS 180-2, appendix B.1.
constexpr char kSha256OfAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class FilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "files_test_XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
};

TEST_F(FilesTest, ReadsWhatWasWrittenAtomically) {
  const std::string content("a\0b\n", 4);
  ASSERT_TRUE(WriteFileAtomically(Path("f"), content).ok());
  EXPECT_EQ(*ReadFile(Path("f"), kPlenty), content);
  EXPECT_FALSE(std::filesystem::exists(Path("f.tmp")));
}

TEST_F(FilesTest, ReplacesAnOlderFile) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "a long first content").ok());
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "short").ok());
  EXPECT_EQ(*ReadFile(Path("f"), kPlenty), "short");
}

TEST_F(FilesTest, NamesTheFileThatIsMissing) {
  const auto read = ReadFile(Path("none"), kPlenty);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(read.status()), HasSubstr(Path("none")));
}

TEST_F(FilesTest, RefusesFilesLargerThanAsked) {
  ASSERT_TRUE(WriteFileAtomically(Path("f"), "12345").ok());
  EXPECT_TRUE(ReadFile(Path("f"), 5).ok());
  const auto read = ReadFile(Path("f"), 4);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(read.status()), HasSubstr("larger than 4 bytes"));
}

TEST_F(FilesTest, RefusesFoldersAndPipesWithoutWaiting) {
  EXPECT_EQ(ReadFile(folder_, kPlenty).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("pipe"), kPlenty).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(FilesTest, FailsToWriteIntoAMissingFolderAndLeavesNothing) {
  const absl::Status status = WriteFileAtomically(Path("none/f"), "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(status), HasSubstr(Path("none/f")));
}

TEST_F(FilesTest, LeavesNoTemporaryFileWhenTheRenameFails) {
  ASSERT_TRUE(std::filesystem::create_directories(Path("taken/by/a/folder")));
  EXPECT_FALSE(WriteFileAtomically(Path("taken"), "x").ok());
  EXPECT_FALSE(std::filesystem::exists(Path("taken.tmp")));
}

TEST_F(FilesTest, HashesAFileLikeItsContent) {
  const std::string content(200000, 'x');
  ASSERT_TRUE(WriteFileAtomically(Path("f"), content).ok());
  EXPECT_EQ(*Sha256HexOfFile(Path("f")), Sha256Hex(content));
}

TEST(Sha256Test, AgreesWithThePublishedVector) { EXPECT_EQ(Sha256Hex("abc"), kSha256OfAbc); }

TEST(Sha256Test, HasOneForm) {
  const std::string hash = kSha256OfAbc;
  EXPECT_TRUE(IsSha256(hash));
  EXPECT_FALSE(IsSha256(""));
  EXPECT_FALSE(IsSha256(hash.substr(1)));
  EXPECT_FALSE(IsSha256(hash + "0"));
  for (const char* last : {"A", "g", "/"}) EXPECT_FALSE(IsSha256(hash.substr(1) + last)) << last;
}

TEST(Sha256Test, DoesNotCareHowBytesAreSplit) {
  Sha256 sha;
  sha.Update("a");
  sha.Update("");
  sha.Update("bc");
  EXPECT_EQ(sha.Finish(), kSha256OfAbc);
}

}  // namespace
}  // namespace dropbp
