// Our chat templates and loss masks against transformers: what 350 dialogues are rendered to by
// SmolLM2's own template and by templates in the styles of Llama-2, Llama-3.1, Qwen2.5, Qwen3,
// Mistral, Gemma and Phi-3, some of them with tools, calls and thoughts; and which of their tokens
// carry loss.
#include <gtest/gtest.h>

#include "absl/time/civil_time.h"
#include "tests/parity/oracle_run.h"
#include "worker/data/chat_template.h"
#include "worker/data/dataset.h"
#include "worker/data/record.h"
#include "worker/data/record_source.h"

namespace dropbp::data {
namespace {

std::string& Folder() {
  static std::string folder;
  return folder;
}

bool MakeReference() {
  static const bool made = [] {
    Folder() = OracleFolder("chat-parity");
    return RunOracle("chat_oracle.py",
                     {SmolLm2Folder(),
                      Environment("DROPBP_SOURCE_DIR") + "/tests/parity/chat_templates", Folder()});
  }();
  return made;
}

class ChatParityTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MakeReference())
        << "chat_oracle.py failed; run tools/setup, and see DROPBP_ORACLES and DROPBP_MODELS";
    folder_ = Folder() + "/" + GetParam();
  }
  std::string folder_;
};

class ChatRenderingTest : public ChatParityTest {};

TEST_P(ChatRenderingTest, EqualsApplyChatTemplate) {
  // The oracle's clock stands at the same time of the local zone.
  const ManualClock clock(
      absl::FromCivil(absl::CivilSecond(2025, 3, 9, 12, 0, 0), absl::LocalTimeZone()));
  const auto chat_template = ChatTemplate::Load(folder_, clock);
  ASSERT_TRUE(chat_template.ok()) << chat_template.status();
  int rendered = 0;
  int refused = 0;
  const auto source = RecordSource::Open(folder_ + "/renderings.jsonl", "jsonl");
  ASSERT_TRUE(source.ok());
  for (RecordSource::Item item; *(*source)->Next(item);) {
    ASSERT_TRUE(item.value.ok()) << item.value.status();
    const nlohmann::ordered_json& line = *item.value;
    const auto record = RecordParser::For("messages", {}, line)->Parse(line);
    ASSERT_TRUE(record.ok()) << record.status();
    const auto chat =
        (*chat_template)
            ->Render(record->messages, line["add_generation_prompt"].get<bool>(), record->tools);
    if (line["text"].is_null()) {
      ASSERT_FALSE(chat.ok()) << line["messages"];
      ++refused;
    } else {
      ASSERT_TRUE(chat.ok()) << chat.status() << line["messages"];
      ASSERT_EQ(chat->text, line["text"].get<std::string>());
      ++rendered;
    }
  }
  EXPECT_GE(rendered, 200);
  RecordProperty("rendered", rendered);
  RecordProperty("refused", refused);
}

INSTANTIATE_TEST_SUITE_P(All, ChatRenderingTest,
                         testing::Values("smollm2", "llama3_style", "qwen2_style", "qwen3_style",
                                         "mistral_style", "gemma_style", "generation_style",
                                         "features", "llama2_style", "phi3_style", "gemma3_style",
                                         "qwen3_tools_style", "mistral_tools_style"),
                         [](const auto& info) { return std::string(info.param); });

class LossMaskTest : public ChatParityTest {
 protected:
  // Samples of a file against the tokens and the mask that stand beside each record in it.
  void ExpectTheReferences(const std::string& name) {
    SCOPED_TRACE(name);
    const auto expected = ReadJsonLines(folder_ + "/" + name);
    ASSERT_GE(expected.size(), 200u);
    DatasetSpec spec;
    spec.max_length = 1 << 20;
    const auto dataset = LoadDataset(folder_ + "/" + name, spec, folder_);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    ASSERT_EQ(dataset->samples.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const Sample& sample = dataset->samples[i];
      ASSERT_EQ(sample.line, static_cast<int64_t>(i) + 1);
      ASSERT_EQ(sample.ids, expected[i]["ids"].get<std::vector<TokenId>>()) << "line " << i + 1;
      const auto mask = expected[i]["supervised"].get<std::vector<int>>();
      for (size_t token = 0; token < mask.size(); ++token) {
        ASSERT_EQ(sample.supervised[token], mask[token] != 0)
            << "line " << i + 1 << ", token " << token;
      }
    }
  }
};

TEST_P(LossMaskTest, EqualsTheReferences) { ExpectTheReferences("labels.jsonl"); }

TEST_P(LossMaskTest, EqualsTheReferencesWhereAnswersCarryNoWeight) {
  ExpectTheReferences("weights.jsonl");
}

TEST_P(LossMaskTest, EqualsTheReferencesForListsOfMessagesInPromptAndCompletion) {
  ExpectTheReferences("completions.jsonl");
}

INSTANTIATE_TEST_SUITE_P(All, LossMaskTest, testing::Values("smollm2", "generation_style"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace dropbp::data
