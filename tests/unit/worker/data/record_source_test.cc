#include "worker/data/record_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/worker/hf/temporary_folder.h"

namespace dropbp::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Records as "<line>: <value>" or "<line>! <error>"; an error that ends the reading comes last.
std::vector<std::string> Records(std::string_view content, const std::string& type = "detect",
                                 const std::string& name = "data") {
  TemporaryFolder folder;
  std::vector<std::string> records;
  const auto source = RecordSource::Open(folder.Write(name, content), type);
  if (!source.ok()) return {std::string(source.status().message())};
  RecordSource::Item item;
  for (;;) {
    const auto more = (*source)->Next(item);
    if (!more.ok()) records.push_back(std::string(more.status().message()));
    if (!more.ok() || !*more) return records;
    records.push_back(item.value.ok() ? absl::StrCat(item.line, ": ", item.value->dump())
                                      : absl::StrCat(item.line, "! ",
                                                     std::string(item.value.status().message())));
  }
}

TEST(JsonLinesTest, GivesEveryLineWithItsNumber) {
  EXPECT_THAT(Records("\xef\xbb\xbf{\"b\":1,\"a\":2}\r\n\n  \n{}"),
              ElementsAre("1: {\"b\":1,\"a\":2}", "4: {}"));
  EXPECT_THAT(Records("{}\n{\n{}"),
              ElementsAre("1: {}", testing::StartsWith("2! column"), "3: {}"));
  EXPECT_THAT(Records(""), ElementsAre());
}

TEST(JsonListTest, GivesEveryElementWithTheLineWhereItBegins) {
  EXPECT_THAT(Records(" [\n {\"a\": \"],[}\\\"\"},\n\n {\n\"b\": [1, [2]]}, 3\n]\n"),
              ElementsAre("2: {\"a\":\"],[}\\\"\"}", "4: {\"b\":[1,[2]]}", "5: 3"));
  EXPECT_THAT(Records("[]"), ElementsAre());
  EXPECT_THAT(Records("[\n]\n"), ElementsAre());
}

TEST(JsonListTest, TellsTheLineInsideABrokenElementAndGoesOn) {
  EXPECT_THAT(Records("[{\n\"a\": nope\n}, {}]"),
              ElementsAre(testing::StartsWith("2! column"), "3: {}"));
  EXPECT_THAT(Records("[{}, ]"), ElementsAre("1: {}", HasSubstr("1! ")));
}

TEST(JsonListTest, RefusesAListThatDoesNotEndWhereTheFileEnds) {
  EXPECT_THAT(Records("[{},\n{\"a\": 1"),
              ElementsAre("1: {}", HasSubstr("data:2: the list is not closed")));
  EXPECT_THAT(Records("[{}]\n]"), ElementsAre(HasSubstr("text follows the list")));
  EXPECT_THAT(Records("{}", "json"), ElementsAre(HasSubstr("data:1: found no list")));
}

TEST(CsvTest, NamesValuesByTheFirstRow) {
  EXPECT_THAT(Records("b,a\r\n1, x \r\n\"q \"\"w\"\"\",\"two\nlines\"\n\n,\n", "csv"),
              ElementsAre("2: {\"b\":\"1\",\"a\":\" x \"}",
                          "3: {\"b\":\"q \\\"w\\\"\",\"a\":\"two\\nlines\"}",
                          "6: {\"b\":\"\",\"a\":\"\"}"));
  EXPECT_THAT(Records("a,b\n1,2", "detect", "data.csv"),
              ElementsAre("2: {\"a\":\"1\",\"b\":\"2\"}"));
  EXPECT_THAT(Records("", "csv"), ElementsAre());
}

TEST(CsvTest, RefusesRowsThatDoNotFit) {
  EXPECT_THAT(Records("a,b\n1\n1,2", "csv"), ElementsAre("2! found 1 fields, the first row has 2",
                                                         "3: {\"a\":\"1\",\"b\":\"2\"}"));
  EXPECT_THAT(Records("a,b\n1,\xff", "csv"),
              ElementsAre("2! column \"b\": invalid UTF-8 at byte 0"));
  EXPECT_THAT(Records("a,a\n", "csv"),
              ElementsAre(HasSubstr("data:1: the first row has the column \"a\"")));
}

TEST(CsvTest, SaysWhichOtherSignsStandBetweenColumns) {
  EXPECT_THAT(Records("prompt;completion\na \"b\";c\n", "csv"),
              ElementsAre(HasSubstr("data:1: the first row is one column, \"prompt;completion\"; "
                                    "legal are columns with commas between them, found ';'")));
  EXPECT_THAT(Records("prompt\tcompletion\na\tb\n", "csv"), ElementsAre(HasSubstr("found a tab")));
}

TEST(CsvTest, RefusesQuotesThatAreNotClosedOrStandInTheMiddle) {
  EXPECT_THAT(Records("a\n\"x\ny", "csv"),
              ElementsAre(HasSubstr("data:2: a quoted field that is not closed")));
  EXPECT_THAT(Records("a\nx\"y\n", "csv"),
              ElementsAre(HasSubstr("data:2: a quote in the middle of a field")));
}

TEST(RecordSourceTest, KnowsFilesThatItCannotRead) {
  EXPECT_THAT(Records("PARExxxx"),
              ElementsAre(HasSubstr("is an encrypted Parquet file; legal are JSON Lines")));
  EXPECT_THAT(Records("\x1f\x8b\x08"), ElementsAre(HasSubstr("is compressed by gzip")));
}

TEST(RecordSourceTest, BoundsEveryRecord) {
  const std::string big(kMaxRecordBytes + 10, 'x');
  EXPECT_THAT(Records("\"" + big + "\"\n1"), ElementsAre(HasSubstr("1! longer than"), "2: 1"));
  EXPECT_THAT(Records("[\"" + big + "\",1]"), ElementsAre(HasSubstr("1! longer than"), "1: 1"));
  EXPECT_THAT(Records("a\n" + big, "csv"), ElementsAre(HasSubstr("data:2: a row of more than")));
}

}  // namespace
}  // namespace dropbp::data
