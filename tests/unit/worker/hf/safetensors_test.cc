#include "worker/hf/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/files.h"
#include "tests/unit/worker/hf/temporary_folder.h"

namespace dropbp::hf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// The text of a file with this header and so many data bytes.
std::string FileText(const std::string& header, size_t data_bytes) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return text + header + std::string(data_bytes, '\1');
}

std::string Entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return absl::StrFormat(R"("%s":{"dtype":"%s","shape":%s,"data_offsets":%s})", name, dtype, shape,
                         offsets);
}

struct Hostile {
  std::string what;
  std::string text;
  std::string error;
};

class HostileSafetensorsTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileSafetensorsTest, IsRefusedWithOneClearError) {
  TemporaryFolder folder;
  const std::string path = folder.Write("x.safetensors", GetParam().text);
  const auto file = SafetensorsFile::Open(path);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(file.status().message(), HasSubstr(path));
  EXPECT_THAT(file.status().message(), HasSubstr(GetParam().error));
}

std::vector<Hostile> HostileFiles() {
  const std::string good = Entry("a", "F32", "[2]", "[0,8]");
  std::string huge(8, '\xff');
  return {
      {"Empty", "", "0 bytes are too few"},
      {"SevenBytes", "1234567", "7 bytes are too few"},
      {"HugeHeaderSize", huge + "{}", "header of 18446744073709551615 bytes"},
      {"HeaderPastTheEnd", std::string("\x09\0\0\0\0\0\0\0{}", 10), "header of 9 bytes"},
      {"NoHeader", FileText("", 0), "does not begin with '{'"},
      {"HeaderIsAList", FileText("[]", 0), "does not begin with '{'"},
      {"LeadingSpace", FileText(" {}", 0), "does not begin with '{'"},
      {"CutJson", FileText("{\"a\":{", 0), "unexpected end of input"},
      {"InvalidUtf8", FileText("{\"a\xff\":{}}", 0), "ill-formed UTF-8"},
      {"TrailingText", FileText("{}x", 0), "expected end of input"},
      {"DuplicateTensor", FileText("{" + good + "," + good + "}", 8), "the name occurs twice"},
      {"DuplicateField",
       FileText(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
       "dtype occurs twice"},
      {"MissingField", FileText(R"({"a":{"dtype":"F32","shape":[2]}})", 8),
       "needs dtype, shape and data_offsets"},
      {"UnknownField", FileText(R"({"a":{"stride":[1]}})", 8), "unknown field \"stride\""},
      {"UnknownType", FileText("{" + Entry("a", "F4", "[2]", "[0,8]") + "}", 8),
       "dtype \"F4\" is not supported"},
      {"NegativeDimension", FileText("{" + Entry("a", "F32", "[-2]", "[0,8]") + "}", 8),
       "found -2"},
      {"FractionalDimension", FileText("{" + Entry("a", "F32", "[2.0]", "[0,8]") + "}", 8),
       "found 2.0"},
      {"ShapeOverflows",
       FileText("{" + Entry("a", "F32", "[4611686018427387904,4]", "[0,8]") + "}", 8),
       "shape is too large"},
      {"RankNine", FileText("{" + Entry("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") + "}", 4),
       "rank above 8"},
      {"WrongByteCount", FileText("{" + Entry("a", "F32", "[3]", "[0,8]") + "}", 8),
       "hold 8 bytes, its shape and dtype need 12"},
      {"OffsetsReversed", FileText("{" + Entry("a", "F32", "[2]", "[8,0]") + "}", 8),
       "data_offsets [8, 0]"},
      {"OffsetsPastTheEnd", FileText("{" + Entry("a", "F32", "[4]", "[0,16]") + "}", 8),
       "within the 8 data bytes"},
      {"Hole", FileText("{" + Entry("a", "F32", "[2]", "[4,12]") + "}", 12), "must begin at 0"},
      {"Overlap", FileText("{" + good + "," + Entry("b", "F32", "[2]", "[4,12]") + "}", 12),
       "must begin at 8"},
      {"DataLeftOver", FileText("{" + good + "}", 9), "the tensors end at byte 8"},
      {"ThreeOffsets", FileText("{" + Entry("a", "F32", "[2]", "[0,8,8]") + "}", 8),
       "more than two numbers"},
      {"MetadataNumber", FileText(R"({"__metadata__":{"a":1}})", 0), "legal are strings"},
      {"MetadataTwice", FileText(R"({"__metadata__":{},"__metadata__":{}})", 0), "occurs twice"},
      {"TensorIsANumber", FileText(R"({"a":1})", 0), "found 1 in place of its object"},
      {"NestedTooDeep", FileText(R"({"a":{"shape":[[1]]}})", 0), "found a list"},
      {"LongName", FileText("{" + Entry(std::string(1025, 'n'), "F32", "[2]", "[0,8]") + "}", 8),
       "longer than 1024 bytes"},
  };
}

INSTANTIATE_TEST_SUITE_P(All, HostileSafetensorsTest, testing::ValuesIn(HostileFiles()),
                         [](const auto& info) { return info.param.what; });

TEST(SafetensorsTest, ReadsWhatItWrote) {
  TemporaryFolder folder;
  const std::vector<uint8_t> bytes(24, 7);
  const std::map<std::string, TensorView> tensors = {
      {"b", {TensorType::kBF16, {3, 2}, absl::MakeConstSpan(bytes).first(12)}},
      {"a", {TensorType::kF32, {2, 3}, bytes}},
      {"scalar", {TensorType::kI64, {}, absl::MakeConstSpan(bytes).first(8)}},
      {"empty", {TensorType::kF16, {0, 5}, {}}},
  };
  const std::string path = folder.path() + "/t.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, tensors, {{"format", "pt"}}).ok());
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
  ASSERT_EQ((*file)->tensors().size(), tensors.size());
  for (const auto& [name, view] : tensors) {
    const TensorView& read = (*file)->tensors().at(name);
    EXPECT_EQ(read.type, view.type);
    EXPECT_EQ(read.shape, view.shape);
    EXPECT_EQ(read.data, view.data);
  }
}

TEST(SafetensorsTest, WritesWiderTypesFirstAndPadsTheHeader) {
  TemporaryFolder folder;
  const std::vector<uint8_t> bytes(8, 1);
  const absl::Span<const uint8_t> all = bytes;
  const std::string path = folder.path() + "/t.safetensors";
  ASSERT_TRUE(WriteSafetensors(path,
                               {{"a", {TensorType::kBool, {1}, all.first(1)}},
                                {"z", {TensorType::kI64, {1}, all}},
                                {"m", {TensorType::kBF16, {1}, all.first(2)}}},
                               {})
                  .ok());
  const std::string text = *ReadFile(path, 1 << 20);
  const size_t header_bytes = static_cast<unsigned char>(text[0]);
  EXPECT_EQ(header_bytes % 8, 0u);
  const std::string header = text.substr(8, header_bytes);
  EXPECT_LT(header.find("\"z\""), header.find("\"m\""));
  EXPECT_LT(header.find("\"m\""), header.find("\"a\""));
  EXPECT_EQ(text.size(), 8 + header_bytes + 11);
}

TEST(SafetensorsTest, RefusesToWriteDataThatDoesNotFitItsShape) {
  TemporaryFolder folder;
  const std::vector<uint8_t> bytes(8, 1);
  const std::string path = folder.path() + "/t.safetensors";
  const absl::Status status = WriteSafetensors(path, {{"a", {TensorType::kF32, {3}, bytes}}}, {});
  EXPECT_THAT(status.message(), HasSubstr("has 8 bytes, its shape and dtype need 12"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(SafetensorsTest, LeavesTheOldFileWhenTheNewOneCannotBeWritten) {
  const absl::Status status = WriteSafetensors("/nonexistent-folder/t.safetensors", {}, {});
  EXPECT_THAT(status.message(), HasSubstr("/nonexistent-folder/t.safetensors"));
}

}  // namespace
}  // namespace dropbp::hf
