#include "core/checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

CheckpointManifest TwoParts() {
  CheckpointManifest manifest{.identity = Sha256Hex("job"), .step = 400, .parts = {}};
  for (int rank = 0; rank < 2; ++rank) {
    const std::string content(static_cast<size_t>(100 + rank), static_cast<char>('a' + rank));
    manifest.parts.push_back({.file = PartFileName(rank, 2),
                              .size_bytes = static_cast<int64_t>(content.size()),
                              .sha256 = Sha256Hex(content)});
  }
  return manifest;
}

// The same text with its hash made right again: what somebody who forges a manifest would write.
std::string Forged(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  const size_t body = text.rfind("  \"sha256\": \"");
  return text.substr(0, body) + "  \"sha256\": \"" + Sha256Hex(text.substr(0, body)) + "\"\n}\n";
}

TEST(ManifestTest, ReadsWhatItWrites) {
  const auto parsed = ParseManifest(FormatManifest(TwoParts()));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, TwoParts());
}

TEST(ManifestTest, NamesPartsByRank) {
  EXPECT_EQ(PartFileName(3, 16), "part-00003-of-00016.safetensors");
}

TEST(ManifestTest, FindsEveryChangedBit) {
  const std::string text = FormatManifest(TwoParts());
  for (size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      EXPECT_FALSE(ParseManifest(changed).ok()) << "byte " << at << ", bit " << bit;
    }
  }
}

TEST(ManifestTest, FindsEveryTruncationAndAppendix) {
  const std::string text = FormatManifest(TwoParts());
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParseManifest(text.substr(0, size)).ok()) << size << " bytes";
  }
  EXPECT_FALSE(ParseManifest(text + "\n").ok());
  EXPECT_FALSE(ParseManifest(text + text).ok());
}

// With a right hash at the end, so that it is the values that are refused.
TEST(ManifestTest, RefusesWhatItWouldNotWrite) {
  const std::string text = FormatManifest(TwoParts());
  ASSERT_TRUE(ParseManifest(Forged(text, "400", "500")).ok()) << "the forgery itself is well made";
  const std::pair<const char*, const char*> forgeries[] = {
      {"\"step\": 400", "\"step\": 0"},
      {"\"step\": 400", "\"step\": -1"},
      {"\"step\": 400", "\"step\": 400.0"},
      {"\"step\": 400", "\"step\": 1e300"},
      {"\"step\": 400", "\"step\": \"400\""},
      {"\"step\": 400", "\"step\": 4,\n  \"step\": 400"},
      {"\"step\": 400", "\"step\":  400"},
      {"\"step\": 400", "\"step\": 400,\n  \"more\": 1"},
      {"\"version\": 1", "\"version\": 2"},
      {"dropbp-checkpoint", "another"},
      {"part-00000-of-00002.safetensors", "../../etc/passwd"},
      {"part-00000-of-00002.safetensors", "part-00001-of-00002.safetensors"},
      {"\"size_bytes\": 100", "\"size_bytes\": -100"},
      {"\"parts\": [\n", "\"parts\": [\n[[[[[[[["},
  };
  for (const auto& [from, to] : forgeries) {
    EXPECT_FALSE(ParseManifest(Forged(text, from, to)).ok()) << to;
  }
}

TEST(ManifestTest, RefusesMoreThanItsBounds) {
  EXPECT_FALSE(ParseManifest(std::string(kMaxManifestBytes + 1, ' ')).ok());
  CheckpointManifest manifest = TwoParts();
  manifest.parts.assign(kMaxCheckpointParts + 1, manifest.parts[0]);
  EXPECT_FALSE(ParseManifest(FormatManifest(manifest)).ok());
  manifest.parts.clear();
  EXPECT_FALSE(ParseManifest(FormatManifest(manifest)).ok());
}

TEST(ManifestTest, HasRoomForTheMostParts) {
  CheckpointManifest manifest = TwoParts();
  manifest.parts.clear();
  for (int rank = 0; rank < kMaxCheckpointParts; ++rank) {
    manifest.parts.push_back({.file = PartFileName(rank, kMaxCheckpointParts),
                              .size_bytes = kMaxPartBytes,
                              .sha256 = Sha256Hex("")});
  }
  EXPECT_TRUE(ParseManifest(FormatManifest(manifest)).ok());
}

class CheckpointFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "manifest_test_XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    Write(0, std::string(100, 'a'));
    Write(1, std::string(101, 'b'));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(int rank, const std::string& content) const {
    std::ofstream(folder_ + "/" + PartFileName(rank, 2), std::ios::binary) << content;
  }

  std::string folder_;
};

TEST_F(CheckpointFolderTest, IsCompleteOnlyWithItsManifest) {
  EXPECT_EQ(ReadManifest(folder_).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteManifest(folder_, TwoParts()).ok());
  const auto manifest = ReadManifest(folder_);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_TRUE(VerifyParts(folder_, *manifest).ok());
}

TEST_F(CheckpointFolderTest, FindsEveryChangeOfAPart) {
  const std::string content(101, 'b');
  for (size_t at = 0; at < content.size(); ++at) {
    std::string changed = content;
    changed[at] ^= 1;
    Write(1, changed);
    EXPECT_EQ(VerifyParts(folder_, TwoParts()).code(), absl::StatusCode::kDataLoss) << at;
    Write(1, content.substr(0, at));
    EXPECT_EQ(VerifyParts(folder_, TwoParts()).code(), absl::StatusCode::kDataLoss) << at;
  }
  Write(1, content + "b");
  const absl::Status longer = VerifyParts(folder_, TwoParts());
  EXPECT_EQ(longer.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(longer.message()), HasSubstr("found 102 bytes, the manifest names 101"));
  std::filesystem::remove(folder_ + "/" + PartFileName(1, 2));
  EXPECT_EQ(VerifyParts(folder_, TwoParts()).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace dropbp
