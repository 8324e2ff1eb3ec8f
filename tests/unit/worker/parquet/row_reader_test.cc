#include "worker/parquet/row_reader.h"

#include <arrow/builder.h>
#include <arrow/io/memory.h>
#include <arrow/type.h>
#include <arrow/util/type_fwd.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/worker/parquet/parquet_bytes.h"
#include "worker/data/record_source.h"

namespace dropbp::parquet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Lines = std::vector<std::string>;

// Rows as JSON, or "! " and why a row is refused; an error that ends the reading comes last.
Lines Rows(const std::string& bytes, const std::vector<std::string>& columns = {}) {
  const auto reader = RowReader::Open(arrow::io::BufferReader::FromString(bytes), columns);
  if (!reader.ok()) return {std::string(reader.status().message())};
  Lines lines;
  absl::StatusOr<nlohmann::ordered_json> row;
  for (;;) {
    const auto more = (*reader)->Next(row);
    if (!more.ok()) lines.push_back(std::string(more.status().message()));
    if (!more.ok() || !*more) return lines;
    lines.push_back(row.ok() ? row->dump() : "! " + std::string(row.status().message()));
  }
}

std::string Dialogues() {
  return ParquetBytes(
      {{"messages",
        Messages(R"([[{"role": "user", "content": "a\"b"}, {"role": "x"}], [], null])")},
       {"id", Values(arrow::int64(), "[1, -2, 9007199254740993]")}});
}

TEST(RowReaderTest, GivesRowsOfEveryGroupAndLeavesNullsOut) {
  EXPECT_THAT(Rows(Dialogues()),
              ElementsAre(R"({"messages":[{"role":"user","content":"a\"b"},{"role":"x"}],"id":1})",
                          R"({"messages":[],"id":-2})", R"({"id":9007199254740993})"));
}

TEST(RowReaderTest, ReadsOnlyTheColumnsThatAreWanted) {
  const std::string bytes =
      ParquetBytes({{"when", Values(arrow::timestamp(arrow::TimeUnit::SECOND), "[0]")},
                    {"text", Values(arrow::utf8(), R"(["a"])")}});
  EXPECT_THAT(Rows(bytes, {"prompt", "text"}), ElementsAre(R"({"text":"a"})"));
  EXPECT_THAT(
      Rows(bytes, {"prompt"}),
      ElementsAre("found the columns \"when\", \"text\"; looked for \"prompt\"; other names "
                  "are told by dataset.fields"));
}

TEST(RowReaderTest, KnowsEveryTypeThatJsonHas) {
  const std::string bytes =
      ParquetBytes({{"bool", Values(arrow::boolean(), "[true]")},
                    {"small", Values(arrow::int8(), "[-8]")},
                    {"large", Values(arrow::uint64(), "[18446744073709551615]")},
                    {"float", Values(arrow::float32(), "[0.5]")},
                    {"double", Values(arrow::float64(), "[0.1]")},
                    {"text", Values(arrow::large_utf8(), R"(["é"])")},
                    {"word", Values(arrow::dictionary(arrow::int32(), arrow::utf8()), R"(["w"])")},
                    {"pair", Values(arrow::fixed_size_list(arrow::int32(), 2), "[[1, null]]")},
                    {"none", Values(arrow::null(), "[null]")}});
  EXPECT_THAT(
      Rows(bytes),
      ElementsAre("{\"bool\":true,\"small\":-8,\"large\":18446744073709551615,\"float\":0.5,"
                  "\"double\":0.1,\"text\":\"é\",\"word\":\"w\",\"pair\":[1,null]}"));
}

TEST(RowReaderTest, ReadsEveryCompressionAndManyRows) {
  std::string json = "[";
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&json, i > 0 ? "," : "", "\"", i % 7, "\"");
  const auto column = Values(arrow::utf8(), json + "]");
  for (const auto compression :
       {arrow::Compression::UNCOMPRESSED, arrow::Compression::SNAPPY, arrow::Compression::GZIP,
        arrow::Compression::BROTLI, arrow::Compression::ZSTD, arrow::Compression::LZ4}) {
    const Lines lines = Rows(ParquetBytes({{"text", column}}, compression, 300));
    ASSERT_EQ(lines.size(), 1000u) << lines[0];
    EXPECT_EQ(lines[999], R"({"text":"5"})");
  }
}

TEST(RowReaderTest, NamesColumnsOfOtherTypes) {
  const std::string legal = ", legal are text, numbers, bool, lists and structs of these";
  EXPECT_THAT(Rows(ParquetBytes({{"image", Values(arrow::binary(), R"(["a"])")}})),
              ElementsAre("column \"image\" has the type binary" + legal));
  const auto inner = arrow::struct_({arrow::field("price", arrow::decimal128(5, 2))});
  EXPECT_THAT(
      Rows(ParquetBytes({{"list", Values(arrow::list(inner), R"([[{"price": "1.00"}]])")}})),
      ElementsAre("column \"list[].price\" has the type decimal128(5, 2)" + legal));
  EXPECT_THAT(Rows(ParquetBytes({{"m", Values(arrow::map(arrow::utf8(), arrow::utf8()), "[[]]")}})),
              ElementsAre(HasSubstr("column \"m\" has the type map<string, string")));
}

TEST(RowReaderTest, RefusesNamesThatAreNoKeys) {
  const auto text = Values(arrow::utf8(), R"(["a"])");
  EXPECT_THAT(Rows(ParquetBytes({{"a", text}, {"a", text}})),
              ElementsAre("found the column \"a\", legal are names in UTF-8, each once"));
  EXPECT_THAT(Rows(ParquetBytes({{"\xff", text}})),
              ElementsAre(HasSubstr("legal are names in UTF-8")));
}

TEST(RowReaderTest, RefusesARowAndGoesOn) {
  EXPECT_THAT(Rows(ParquetBytes({{"x", Values(arrow::float64(), "[NaN, 1.5]")}})),
              ElementsAre("! column \"x\": found nan, legal are finite numbers", R"({"x":1.5})"));
  arrow::StringBuilder builder;
  ASSERT_TRUE(builder.AppendValues(std::vector<std::string>{"a\xff", "ok"}).ok());
  EXPECT_THAT(Rows(ParquetBytes({{"x", builder.Finish().ValueOrDie()}})),
              ElementsAre("! column \"x\": invalid UTF-8", R"({"x":"ok"})"));
  const std::string big(data::kMaxRecordBytes + 1, 'x');
  EXPECT_THAT(
      Rows(ParquetBytes({{"x", Values(arrow::utf8(), "[\"" + big + "\", \"ok\"]")}})),
      ElementsAre(HasSubstr("! column \"x\": longer than 16777216 bytes"), R"({"x":"ok"})"));
}

TEST(RowReaderTest, SaysThatAFileIsBrokenWhereverItIsCut) {
  const std::string whole = Dialogues();
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(Rows(whole.substr(0, size)), ElementsAre(HasSubstr("cannot be read as Parquet: ")))
        << size;
  }
}

TEST(RowReaderTest, SurvivesEveryChangedByte) {
  const std::string whole = Dialogues();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      EXPECT_THAT(Rows(changed), testing::SizeIs(testing::Le(10u))) << i;
    }
  }
}

}  // namespace
}  // namespace dropbp::parquet
