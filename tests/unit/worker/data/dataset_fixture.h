// Data files and a model folder, and what of a sample carries loss in brackets.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/unit/worker/data/tiny_model.h"
#include "worker/data/dataset.h"

namespace dropbp::data {

// A folder that is a model and holds the data too.
class DatasetTest : public testing::Test {
 protected:
  void SetUp() override { WriteTinyModel(folder_); }

  absl::StatusOr<TokenizedDataset> Load(std::string_view data) {
    return LoadDataset(folder_.Write("data.jsonl", data), spec_, folder_.path());
  }

  TokenizedDataset MustLoad(std::string_view data) {
    auto dataset = Load(data);
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return dataset.ok() ? *std::move(dataset) : TokenizedDataset{};
  }

  std::string ErrorOf(std::string_view data) {
    const auto dataset = Load(data);
    EXPECT_FALSE(dataset.ok());
    return std::string(dataset.status().message());
  }

  // The text of a sample with what carries loss in brackets.
  std::string Marked(const Sample& sample) {
    const auto tokenizer = *Tokenizer::Load(folder_.path());
    std::string text;
    bool inside = false;
    for (size_t i = 0; i < sample.ids.size(); ++i) {
      if (sample.supervised[i] != inside) text += inside ? "]" : "[";
      inside = sample.supervised[i];
      text += tokenizer->Decode({sample.ids[i]}, false);
    }
    return inside ? text + "]" : text;
  }

  TemporaryFolder folder_;
  DatasetSpec spec_;
};

inline constexpr char kDialogue[] =
    R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
    R"({"role":"user","content":"c"},{"role":"assistant","content":"d"}]})";

}  // namespace dropbp::data
