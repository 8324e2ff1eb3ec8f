#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/worker/hf/temporary_folder.h"
#include "worker/hf/safetensors.h"

namespace dropbp::hf {
namespace {

using testing::HasSubstr;

constexpr char kIndex[] = "model.safetensors.index.json";

// A model folder of two shards, "first" with tensor a and "second" with tensor b, of 8 bytes each.
class ModelTensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteShard("first.safetensors", {"a"});
    WriteShard("second.safetensors", {"b"});
  }

  void WriteShard(const std::string& name, const std::vector<std::string>& tensors) {
    std::map<std::string, TensorView> views;
    for (const std::string& tensor : tensors) views[tensor] = {TensorType::kF32, {2}, bytes_};
    ASSERT_TRUE(WriteSafetensors(folder_.path() + "/" + name, views, {}).ok());
  }

  std::string ErrorOfIndex(const std::string& index) {
    folder_.Write(kIndex, index);
    const auto model = OpenModelTensors(folder_.path());
    EXPECT_FALSE(model.ok());
    EXPECT_THAT(model.status().message(), HasSubstr(folder_.path()));
    return std::string(model.status().message());
  }

  TemporaryFolder folder_;
  const std::vector<uint8_t> bytes_ = std::vector<uint8_t>(8, 5);
};

TEST_F(ModelTensorsTest, OpensAllShardsOfAnIndex) {
  folder_.Write(
      kIndex,
      R"({"metadata":{"total_size":16},"weight_map":{"a":"first.safetensors","b":"second.safetensors"}})");
  const auto model = OpenModelTensors(folder_.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->files.size(), 2u);
  EXPECT_EQ(model->tensors.at("b").data.size(), 8u);
}

TEST_F(ModelTensorsTest, TakesTheSingleFileBeforeAnIndex) {
  WriteShard("model.safetensors", {"only"});
  folder_.Write(kIndex, "broken");
  const auto model = OpenModelTensors(folder_.path());
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->tensors.count("only"), 1u);
}

TEST_F(ModelTensorsTest, SaysWhatAFolderWithoutWeightsNeeds) {
  const auto model = OpenModelTensors(folder_.path());
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(model.status().message(), HasSubstr("needs model.safetensors or"));
}

TEST_F(ModelTensorsTest, RefusesNamesThatLeaveTheFolder) {
  for (const char* name : {"../first.safetensors", "/etc/passwd", "sub/first.safetensors",
                           "first.bin", ".safetensors", "fi rst.safetensors"}) {
    EXPECT_THAT(ErrorOfIndex(absl::StrCat(R"({"weight_map":{"a":")", name, R"("}})")),
                HasSubstr("legal is a file name"));
  }
}

TEST_F(ModelTensorsTest, RefusesBrokenIndexes) {
  EXPECT_THAT(ErrorOfIndex("{"), HasSubstr("line 1"));
  EXPECT_THAT(ErrorOfIndex("[]"), HasSubstr("needs an object with weight_map"));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":[]})"), HasSubstr("needs an object with weight_map"));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{}})"), HasSubstr("weight_map is empty"));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{"a":3}})"), HasSubstr("found 3"));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{"a":"first.safetensors","a":"second.safetensors"}})"),
              HasSubstr("the key \"a\" occurs twice"));
  EXPECT_THAT(ErrorOfIndex(std::string(100, '[')), HasSubstr("nested deeper than 64 levels"));
}

TEST_F(ModelTensorsTest, RefusesShardsThatDoNotHoldWhatTheIndexSays) {
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{"a":"first.safetensors","c":"first.safetensors"}})"),
              HasSubstr("lacks the tensor \"c\""));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{"b":"first.safetensors"}})"),
              HasSubstr("which the index does not name"));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{"a":"second.safetensors","b":"first.safetensors"}})"),
              HasSubstr("the index puts it in second.safetensors"));
  EXPECT_THAT(ErrorOfIndex(R"({"weight_map":{"a":"third.safetensors"}})"),
              HasSubstr("third.safetensors: cannot open"));
  EXPECT_THAT(
      ErrorOfIndex(
          R"({"metadata":{"total_size":9},"weight_map":{"a":"first.safetensors","b":"second.safetensors"}})"),
      HasSubstr("metadata.total_size is 9, the tensors take 16 bytes"));
  EXPECT_THAT(
      ErrorOfIndex(R"({"metadata":{"total_size":-1},"weight_map":{"a":"first.safetensors"}})"),
      HasSubstr("metadata.total_size is -1"));
}

}  // namespace
}  // namespace dropbp::hf
