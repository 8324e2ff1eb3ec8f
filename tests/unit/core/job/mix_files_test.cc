#include "core/job/mix_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/files.h"

namespace dropbp {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

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
  // Of a job file with these files in its mix, from its fourth line on.
  JobFile Job(const std::string& entries) {
    const auto job = ParseJobFile("model: m\ndataset:\n  mix:\n" + entries, Source());
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : JobFile();
  }
  std::string Source() const { return (folder_ / "job.yaml").string(); }
  std::string ErrorOf(const std::string& entries) {
    JobFile job = Job(entries);
    return std::string(ResolveMixFiles(Source(), job).status().message());
  }

  const std::filesystem::path folder_;
};

TEST_F(MixFilesTest, PutsContentInPlaceOfNames) {
  const std::string path = Write("data/a.jsonl", "{}\n");
  const std::string uploaded(64, 'a');
  JobFile job = Job("    data/a.jsonl: 0.5\n    " + uploaded + ": 3\n");
  const auto files = ResolveMixFiles(Source(), job);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(*files,
              ElementsAre(Pair(Sha256Hex("{}\n"), AllOf(Field(&MixFile::name, "data/a.jsonl"),
                                                        Field(&MixFile::path, path)))));
  EXPECT_EQ(job.spec.dataset.mix,
            (std::map<std::string, double>{{Sha256Hex("{}\n"), 0.5}, {uploaded, 3}}));
}

TEST_F(MixFilesTest, NamesWhatCannotBeUsed) {
  Write("empty.jsonl", "");
  Write("a.jsonl", "{}\n");
  Write("b.jsonl", "{}\n");
  EXPECT_EQ(ErrorOf("    a.jsonl: 1\n    gone.jsonl: 1\n"),
            Source() + ":5: dataset.mix.gone.jsonl: found no file at " +
                (folder_ / "gone.jsonl").string());
  EXPECT_THAT(ErrorOf("    data: 1\n"), HasSubstr("is not a regular file"));
  EXPECT_THAT(ErrorOf("    empty.jsonl: 1\n"),
              HasSubstr("empty.jsonl is empty, legal are records"));
  EXPECT_THAT(ErrorOf("    a.jsonl: 1\n    b.jsonl: 1\n"),
              HasSubstr(":5: dataset.mix.b.jsonl: found the content of another file of the mix"));
}

TEST_F(MixFilesTest, WhatTheCommandLineNamesHasNoLine) {
  JobFile job = Job("    gone.jsonl: 1\n");
  ASSERT_TRUE(SetJobField("dataset.mix.gone.jsonl=2", job).ok());
  EXPECT_THAT(std::string(ResolveMixFiles(Source(), job).status().message()),
              StartsWith("dataset.mix.gone.jsonl: found no file at "));
}

}  // namespace
}  // namespace dropbp
