#include "worker/data/chat_renderer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/data/dataset_fixture.h"

namespace dropbp::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Marks of messages: user, assistant, user, assistant.
class LossMarksTest : public DatasetTest {
 protected:
  static std::string Dialogue(const char* first, const char* second, const char* question = "") {
    return std::string(R"({"messages":[{"role":"user","content":"a")") + question +
           R"(},{"role":"assistant","content":"b")" + first +
           R"(},{"role":"user","content":"c"},{"role":"assistant","content":"d")" + second + "}]}";
  }
  std::string MarkedDialogue(const char* first, const char* second, const char* question = "") {
    const TokenizedDataset dataset = MustLoad(Dialogue(first, second, question));
    return dataset.samples.size() == 1 ? Marked(dataset.samples[0]) : "";
  }
  void MarkAnswersInTheTemplate() {
    WriteTinyModel(folder_,
                   "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}"
                   "{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}"
                   "{{ m.content }}{% endif %}{% endfor %}");
  }
};

constexpr char kNot[] = R"(,"weight":0)";
constexpr char kNeither[] = R"(,"train":false)";

TEST_F(LossMarksTest, PutNoLossOnAnAnswer) {
  EXPECT_EQ(MarkedDialogue(kNot, ""),
            "<|start|>user\na<|end|>\n<|start|>assistant\nb<|end|>\n"
            "<|start|>user\nc<|end|>\n<|start|>assistant\n[d<|end|>]\n");
  EXPECT_EQ(MarkedDialogue(kNeither, R"(,"weight":1)"), MarkedDialogue(kNot, ""));
  EXPECT_EQ(MarkedDialogue(R"(,"weight":1)", R"(,"train":true)"), MarkedDialogue("", ""));
}

TEST_F(LossMarksTest, LeaveOutWhatFollowsTheLastAnswerThatCarriesLoss) {
  EXPECT_EQ(MarkedDialogue("", kNot), "<|start|>user\na<|end|>\n<|start|>assistant\n[b<|end|>]\n");
}

TEST_F(LossMarksTest, MakeTheLastTurnTheLastOneThatCarriesLoss) {
  spec_.loss_on = "last_turn";
  EXPECT_EQ(MarkedDialogue("", kNeither),
            "<|start|>user\na<|end|>\n<|start|>assistant\n[b<|end|>]\n");
  EXPECT_THAT(MarkedDialogue(kNot, ""), HasSubstr("assistant\n[d<|end|>]\n"));
}

TEST_F(LossMarksTest, HoldWhereAllTokensCarryLoss) {
  spec_.loss_on = "all_tokens";
  EXPECT_EQ(MarkedDialogue(kNot, ""),
            "<|start|>[user\na<|end|>\n<|start|>assistant\n]b<|end|>\n[<|start|>user\nc<|end|>\n"
            "<|start|>assistant\nd<|end|>\n]");
  EXPECT_THAT(MarkedDialogue("", kNot), HasSubstr("assistant\n]d<|end|>\n"));
}

TEST_F(LossMarksTest, HoldForAnswersThatTheTemplateMarks) {
  MarkAnswersInTheTemplate();
  EXPECT_EQ(MarkedDialogue(kNot, ""), "<user>a<assistant>b</s><user>c<assistant>[d</s>]");
  EXPECT_EQ(MarkedDialogue("", kNot), "<user>a<assistant>[b</s>]");
  spec_.loss_on = "all_tokens";
  EXPECT_EQ(MarkedDialogue(kNot, kNot), "<[user>a<assistant>]b</s>[<user>c<assistant>]d</s>");
  EXPECT_EQ(MarkedDialogue("", ""), "<[user>a<assistant>b</s><user>c<assistant>d</s>]");
}

TEST_F(LossMarksTest, LeaveOutADialogueWithoutAnyLoss) {
  const TokenizedDataset dataset = MustLoad(Dialogue(kNot, kNot) + "\n" + Dialogue("", ""));
  EXPECT_EQ(dataset.samples.size(), 1u);
  EXPECT_EQ(dataset.report.dropped, 1);
  EXPECT_THAT(ErrorOf(Dialogue(kNot, kNeither)),
              HasSubstr("no token carries loss in any of 1 records"));
}

TEST_F(LossMarksTest, AreLegalAsZeroOnOtherMessagesThanAnswers) {
  EXPECT_EQ(MarkedDialogue("", "", kNot), MarkedDialogue("", ""));
  EXPECT_EQ(MarkedDialogue("", "", kNeither), MarkedDialogue("", ""));
  spec_.loss_on = "all_tokens";
  EXPECT_EQ(MarkedDialogue("", "", R"(,"weight":1)"), MarkedDialogue("", ""));
}

TEST_F(LossMarksTest, AreRefusedWhereTheyCannotHold) {
  EXPECT_THAT(ErrorOf(Dialogue("", "", R"(,"train":true)")),
              HasSubstr("data.jsonl:1: messages[0]: a message of role \"user\" is marked to carry "
                        "loss (weight or train); legal is that on answers alone, or "
                        "dataset.loss_on all_tokens"));
  EXPECT_THAT(ErrorOf(R"({"prompt":[{"role":"assistant","content":"a","weight":1}],)"
                      R"("completion":[{"role":"assistant","content":"b"}]})"),
              HasSubstr("a message of role \"assistant\" in the prompt is marked to carry loss"));
  spec_.loss_on = "all_tokens";
  EXPECT_THAT(
      ErrorOf(Dialogue("", "", kNeither)),
      HasSubstr("messages[0]: a message of role \"user\" is marked to carry no loss (weight "
                "or train); with dataset.loss_on all_tokens legal is that on assistant "
                "messages alone"));
}

TEST_F(LossMarksTest, AreRefusedWhereTheTemplateMarksAnswersOtherwise) {
  WriteTinyModel(folder_,
                 "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and loop.last %}"
                 "{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}"
                 "{{ m.content }}{% endif %}{% endfor %}");
  EXPECT_EQ(MarkedDialogue("", ""), "<user>a<assistant>b<user>c<assistant>[d</s>]");
  EXPECT_THAT(ErrorOf(Dialogue(kNot, "")),
              HasSubstr("the chat template marks 1 answers of 2 assistant messages by "
                        "{% generation %}, so that those that carry no loss cannot be told from "
                        "the others; legal is one for each"));
  spec_.loss_on = "last_turn";
  EXPECT_EQ(MarkedDialogue(kNot, ""), "<user>a<assistant>b<user>c<assistant>[d</s>]");
  spec_.loss_on = "all_tokens";
  EXPECT_THAT(ErrorOf(Dialogue(kNot, "")), HasSubstr("cannot be told from the others"));
}

TEST_F(LossMarksTest, ChooseTheAnswerOfAnEvaluation) {
  const std::string path = folder_.Write("data.jsonl", Dialogue("", kNot));
  const auto prompts = LoadPrompts(path, spec_, folder_.path());
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  EXPECT_EQ((*prompts)[0].answer, "b");
  EXPECT_THAT((*prompts)[0].prompt, AllOf(HasSubstr("user\na"), Not(HasSubstr("b"))));
  folder_.Write("data.jsonl", Dialogue(kNot, kNot));
  EXPECT_THAT(LoadPrompts(path, spec_, folder_.path()).status().message(),
              HasSubstr("the dialogue has no assistant message that carries loss"));
}

}  // namespace
}  // namespace dropbp::data
