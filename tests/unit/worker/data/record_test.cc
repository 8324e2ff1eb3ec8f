#include "worker/data/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/data/dataset_fixture.h"

namespace dropbp::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class RecordTest : public DatasetTest {
 protected:
  std::string MarkedRecord(std::string_view record) {
    const TokenizedDataset dataset = MustLoad(record);
    return dataset.samples.size() == 1 ? Marked(dataset.samples[0]) : "";
  }
};

constexpr char kWithSystem[] =
    "<|start|>system\ns<|end|>\n<|start|>user\np<|end|>\n<|start|>assistant\n[c<|end|>]\n";

TEST_F(RecordTest, TakesASystemMessageBesideEveryFormatOfDialogues) {
  for (
      const char* record :
      {R"({"system":"s","prompt":"p","completion":"c"})",
       R"({"instruction":"p","input":"","output":"c","system":"s"})",
       R"({"system":"s","conversations":[{"from":"human","value":"p"},{"from":"gpt","value":"c"}]})",
       R"({"system":"s","messages":[{"role":"user","content":"p"},)"
       R"({"role":"assistant","content":"c"}]})",
       R"({"system":"s","prompt":[{"role":"user","content":"p"}],)"
       R"("completion":[{"role":"assistant","content":"c"}]})"}) {
    EXPECT_EQ(MarkedRecord(record), kWithSystem) << record;
  }
  for (const char* record : {R"({"system":"","prompt":"p","completion":"c"})",
                             R"({"system":null,"instruction":"p","output":"c"})"}) {
    EXPECT_EQ(MarkedRecord(record), "<|start|>user\np<|end|>\n<|start|>assistant\n[c<|end|>]\n");
  }
  folder_.Write("data.csv", "system,prompt,completion\ns,p,c\n");
  const auto csv = LoadDataset(folder_.path() + "/data.csv", spec_, folder_.path());
  ASSERT_TRUE(csv.ok()) << csv.status();
  EXPECT_EQ(Marked(csv->samples[0]), kWithSystem);
}

TEST_F(RecordTest, TakesAnotherNameOfTheSystemMessage) {
  spec_.fields = {{"system", "persona"}};
  EXPECT_EQ(MarkedRecord(R"({"persona":"s","instruction":"p","output":"c","system":7})"),
            kWithSystem);
  EXPECT_THAT(ErrorOf(R"({"persona":["s"],"instruction":"p","output":"c"})"),
              HasSubstr("data.jsonl:1: persona is a list of 1, legal is text"));
}

TEST_F(RecordTest, RefusesTwoSystemMessagesThatDiffer) {
  const std::string messages =
      R"("messages":[{"role":"system","content":"s"},{"role":"user","content":"p"},)"
      R"({"role":"assistant","content":"c"}]})";
  EXPECT_EQ(MarkedRecord(R"({"system":"s",)" + messages), kWithSystem);
  EXPECT_THAT(ErrorOf(R"({"system":"t",)" + messages),
              HasSubstr("system is \"t\", and the dialogue begins with another system message, "
                        "\"s\"; legal is one of them"));
}

TEST_F(RecordTest, RefusesEarlierTurnsBesideAnInstruction) {
  EXPECT_THAT(ErrorOf(R"({"instruction":"p","output":"c","history":[["a","b"]]})"),
              HasSubstr("history is a list of 1, which is not supported beside instruction; write "
                        "the record as messages"));
  EXPECT_EQ(MarkedRecord(R"({"instruction":"p","output":"c","history":[]})"),
            "<|start|>user\np<|end|>\n<|start|>assistant\n[c<|end|>]\n");
}

TEST_F(RecordTest, GivesTheTemplateToolsBesidePromptsToo) {
  WriteTinyModel(folder_,
                 "{{ tools | tojson if tools else '' }}{% for m in messages %}<{{ m.role }}>"
                 "{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}");
  EXPECT_EQ(MarkedRecord(R"({"prompt":[{"role":"user","content":"p"}],"tools":[{"b":1}],)"
                         R"("completion":[{"role":"assistant","content":"c"}]})"),
            "[{\"b\": 1}]<user>p<assistant>[c]");
  EXPECT_EQ(MarkedRecord(R"({"prompt":"p","completion":"c","tools":[{"b":1}]})"),
            "[{\"b\": 1}]<user>p<assistant>[c]");
  EXPECT_THAT(ErrorOf(R"({"prompt":"p","completion":"c","tools":"f"})"),
              HasSubstr("tools is \"f\", legal is a list of objects"));
}

constexpr char kPromptList[] =
    R"({"prompt":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
    R"({"role":"user","content":"c"}],"completion":[{"role":"assistant","content":"d"},)"
    R"({"role":"user","content":"e"},{"role":"assistant","content":"f"}]})";

TEST_F(RecordTest, PutsLossOnAnswersOfACompletionAndNeverOnThoseOfItsPrompt) {
  const std::string prompt =
      "<|start|>user\na<|end|>\n<|start|>assistant\nb<|end|>\n<|start|>user\nc<|end|>\n"
      "<|start|>assistant\n";
  EXPECT_EQ(MarkedRecord(kPromptList),
            prompt + "[d<|end|>]\n<|start|>user\ne<|end|>\n<|start|>assistant\n[f<|end|>]\n");
  EXPECT_EQ(MustLoad(kPromptList).report.format, "prompt_completion");
  spec_.loss_on = "last_turn";
  EXPECT_EQ(MarkedRecord(kPromptList),
            prompt + "d<|end|>\n<|start|>user\ne<|end|>\n<|start|>assistant\n[f<|end|>]\n");
  spec_.loss_on = "all_tokens";
  EXPECT_THAT(MarkedRecord(kPromptList), HasSubstr("<|start|>[user\na<|end|>"));
}

TEST_F(RecordTest, PutsNoLossOnAPromptThatTheTemplateMarks) {
  WriteTinyModel(folder_,
                 "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}"
                 "{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}"
                 "{% endif %}{% endfor %}");
  EXPECT_EQ(MarkedRecord(kPromptList),
            "<user>a<assistant>b</s><user>c<assistant>[d</s>]<user>e<assistant>[f</s>]");
  spec_.loss_on = "last_turn";
  EXPECT_EQ(MarkedRecord(kPromptList),
            "<user>a<assistant>b</s><user>c<assistant>d</s><user>e<assistant>[f</s>]");
}

TEST_F(RecordTest, GivesAnEvaluationTheLastAnswerOfACompletion) {
  const std::string path = folder_.Write("data.jsonl", kPromptList);
  const auto prompts = LoadPrompts(path, spec_, folder_.path());
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  EXPECT_THAT((*prompts)[0].prompt, testing::EndsWith("user\ne<|end|>\n<|start|>assistant\n"));
  EXPECT_EQ((*prompts)[0].answer, "f");
}

TEST_F(RecordTest, RefusesAPromptAndACompletionOfDifferentKinds) {
  EXPECT_THAT(ErrorOf(R"({"prompt":[{"role":"user","content":"a"}],"completion":"b"})"),
              HasSubstr("completion is \"b\", legal is a list of 1 to 4096 messages"));
  EXPECT_THAT(ErrorOf(R"({"prompt":"a","completion":[{"role":"assistant","content":"b"}]})"),
              HasSubstr("completion is a list of 1, legal is text"));
  EXPECT_THAT(ErrorOf(R"({"prompt":[],"completion":[{"role":"assistant","content":"b"}]})"),
              HasSubstr("prompt is a list of 0, legal is a list of 1 to 4096 messages"));
  EXPECT_THAT(ErrorOf(R"({"prompt":["a"],"completion":["b"]})"),
              HasSubstr("prompt[0].found \"a\", legal is {\"role\": text, \"content\": text}"));
}

TEST(RecordKeysTest, AreThoseOfEveryFormatAsTheFileNamesThem) {
  EXPECT_THAT(RecordParser::Keys({{"system", "persona"}, {"role", "who"}}),
              ElementsAre("messages", "tools", "conversations", "persona", "instruction", "input",
                          "history", "output", "prompt", "completion", "text"));
}

}  // namespace
}  // namespace dropbp::data
