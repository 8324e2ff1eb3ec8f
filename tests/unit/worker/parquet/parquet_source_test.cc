#include <arrow/type.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/unit/worker/hf/temporary_folder.h"
#include "tests/unit/worker/parquet/parquet_bytes.h"
#include "worker/data/record_source.h"

namespace dropbp::data {
namespace {

using parquet::Messages;
using parquet::ParquetBytes;
using parquet::Values;
using testing::ElementsAre;
using testing::HasSubstr;

// Records as "<row>: <value>" or "<row>! <error>"; an error that ends the reading comes last.
std::vector<std::string> Records(const std::string& bytes, const std::string& type = "detect",
                                 const std::vector<std::string>& keys = {}) {
  TemporaryFolder folder;
  std::vector<std::string> records;
  const auto source = RecordSource::Open(folder.Write("data", bytes), type, keys);
  if (!source.ok()) return {std::string(source.status().message())};
  EXPECT_STREQ((*source)->unit(), "row");
  RecordSource::Item item;
  for (;;) {
    const auto more = (*source)->Next(item);
    if (!more.ok()) records.push_back(std::string(more.status().message()));
    if (!more.ok() || !*more) return records;
    records.push_back(item.value.ok()
                          ? absl::StrCat(item.line, ": ", item.value->dump())
                          : absl::StrCat(item.line, "! ", item.value.status().message()));
  }
}

TEST(ParquetSourceTest, GivesRowsWithTheirNumbersWhateverTheFileIsCalled) {
  const std::string bytes =
      ParquetBytes({{"messages", Messages(R"([[{"role": "user", "content": "a\nb"}], null, []])")},
                    {"id", Values(arrow::int32(), "[1, 2, 3]")}});
  for (const char* type : {"detect", "jsonl", "csv"}) {
    EXPECT_THAT(Records(bytes, type, {"messages"}),
                ElementsAre(R"(1: {"messages":[{"role":"user","content":"a\nb"}]})", "2: {}",
                            R"(3: {"messages":[]})"));
  }
}

TEST(ParquetSourceTest, TellsTheRowThatIsRefusedAndGoesOn) {
  EXPECT_THAT(
      Records(ParquetBytes({{"x", Values(arrow::float64(), "[1.5, Inf, 2.5]")}})),
      ElementsAre(R"(1: {"x":1.5})", HasSubstr("2! column \"x\": found inf"), R"(3: {"x":2.5})"));
}

TEST(ParquetSourceTest, RefusesABrokenFileByItsName) {
  const std::string bytes = ParquetBytes({{"text", Values(arrow::utf8(), R"(["a", "b"])")}});
  EXPECT_THAT(Records(bytes.substr(0, bytes.size() / 2)),
              ElementsAre(HasSubstr("/data: cannot be read as Parquet: ")));
  EXPECT_THAT(Records("PAR1"), ElementsAre(HasSubstr("/data: cannot be read as Parquet: ")));
  EXPECT_THAT(Records(bytes, "detect", {"prompt"}),
              ElementsAre(HasSubstr("/data: found the columns \"text\"; looked for \"prompt\"")));
}

// More rows than fit into a pipe.
std::string ManyRows() {
  std::string json = "[\"a\"";
  for (int i = 0; i < 20000; ++i) absl::StrAppend(&json, ",\"a long enough text ", i, "\"");
  return ParquetBytes({{"text", Values(arrow::utf8(), json + "]")}});
}

TEST(ParquetSourceTest, MayBeLeftBeforeTheEnd) {
  TemporaryFolder folder;
  const auto source = RecordSource::Open(folder.Write("data", ManyRows()), "detect");
  RecordSource::Item item;
  EXPECT_TRUE(*(*source)->Next(item));
  EXPECT_EQ(item.value->dump(), R"({"text":"a"})");
}

TEST(ParquetSourceTest, SaysHowTheProgramEndedThatReadsTheFile) {
  TemporaryFolder folder;
  const auto source = RecordSource::Open(folder.Write("data", ManyRows()), "detect");
  RecordSource::Item item;
  ASSERT_TRUE(*(*source)->Next(item));
  pid_t reader = 0;
  std::ifstream("/proc/thread-self/children") >> reader;
  ASSERT_EQ(kill(reader, SIGKILL), 0);
  auto more = (*source)->Next(item);
  while (more.ok() && *more) more = (*source)->Next(item);
  EXPECT_THAT(std::string(more.status().message()),
              HasSubstr("/data: cannot be read as Parquet: the library ended with signal 9"));
}

}  // namespace
}  // namespace dropbp::data
