#include "core/job/mix_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.h"

namespace dropbp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class MixFilesTest : public ::testing::Test {
 protected:
  MixFilesTest() : folder_(std::filesystem::path(::testing::TempDir()) / "mix_files_test") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "data");
  }
  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(folder_ / name) << content;
    return (folder_ / name).string();
  }
  std::string ErrorOf(const DatasetSpec& spec) {
    DatasetSpec copy = spec;
    return std::string(ResolveMixFiles(folder_.string(), copy).status().message());
  }

  const std::filesystem::path folder_;
};

TEST_F(MixFilesTest, PutsContentInPlaceOfNames) {
  const std::string path = Write("data/a.jsonl", "{}\n");
  const std::string uploaded(64, 'a');
  DatasetSpec spec;
  spec.mix = {{"data/a.jsonl", 0.5}, {uploaded, 3}};
  const auto paths = ResolveMixFiles(folder_.string(), spec);
  ASSERT_TRUE(paths.ok()) << paths.status();
  EXPECT_THAT(*paths, ElementsAre(Pair(Sha256Hex("{}\n"), path)));
  EXPECT_EQ(spec.mix, (std::map<std::string, double>{{Sha256Hex("{}\n"), 0.5}, {uploaded, 3}}));
}

TEST_F(MixFilesTest, NamesWhatCannotBeUsed) {
  Write("empty.jsonl", "");
  Write("a.jsonl", "{}\n");
  Write("b.jsonl", "{}\n");
  DatasetSpec spec;
  spec.mix = {{"gone.jsonl", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("dataset.mix: found no file at "));
  spec.mix = {{"data", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("is not a regular file"));
  spec.mix = {{"empty.jsonl", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("empty.jsonl is empty, legal are records"));
  spec.mix = {{"a.jsonl", 1}, {"b.jsonl", 1}};
  EXPECT_THAT(ErrorOf(spec), HasSubstr("b.jsonl has the same content as another file of the mix"));
}

}  // namespace
}  // namespace dropbp
