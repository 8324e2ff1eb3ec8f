#include "worker/data/message_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::data {
namespace {

using nlohmann::ordered_json;
using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
using testing::Optional;
using Names = MessageReader::Names;

absl::StatusOr<std::vector<Message>> Read(const char* list, Names names = Names::kRoles,
                                          FieldNames::Names fields = {}) {
  const FieldNames file(std::move(fields));
  return MessageReader(file).Read(ordered_json{{"l", ordered_json::parse(list)}}, "l", names);
}

// "role: content" of every message.
std::vector<std::string> Told(const absl::StatusOr<std::vector<Message>>& messages) {
  EXPECT_TRUE(messages.ok()) << messages.status();
  std::vector<std::string> told;
  if (!messages.ok()) return told;
  for (const Message& message : *messages) told.push_back(message.role + ": " + message.content);
  return told;
}

std::string ErrorOf(const char* list, Names names = Names::kRoles) {
  const auto messages = Read(list, names);
  EXPECT_FALSE(messages.ok());
  return std::string(messages.status().message());
}

TEST(MessageReaderTest, TakesEitherPairOfKeysInEitherList) {
  const char* const turns = R"([{"from":"human","value":"a"},{"from":"gpt","value":"b"}])";
  const char* const messages =
      R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])";
  const char* const both = R"([{"from":"human","value":"a"},{"role":"assistant","content":"b"}])";
  for (const char* list : {turns, messages, both}) {
    EXPECT_THAT(Told(Read(list, Names::kRoles)), ElementsAre("user: a", "assistant: b")) << list;
    EXPECT_THAT(Told(Read(list, Names::kSpeakers)), ElementsAre("user: a", "assistant: b")) << list;
  }
}

TEST(MessageReaderTest, TakesOtherNamesOfBothPairs) {
  EXPECT_THAT(
      Told(Read(R"([{"who":"x","what":"a"},{"speaker":"gpt","said":"b"}])", Names::kRoles,
                {{"role", "who"}, {"content", "what"}, {"from", "speaker"}, {"value", "said"}})),
      ElementsAre("x: a", "assistant: b"));
}

TEST(MessageReaderTest, PutsSpeakersInTheTemplatesWordsAndLeavesRolesOfMessagesAsTheyAre) {
  const char* const list = R"([{"role":"human","content":"a"},{"role":"gpt","content":"b"}])";
  EXPECT_THAT(Told(Read(list, Names::kSpeakers)), ElementsAre("user: a", "assistant: b"));
  EXPECT_THAT(Told(Read(list, Names::kRoles)), ElementsAre("human: a", "gpt: b"));
  const auto messages = Read(list, Names::kSpeakers);
  ASSERT_TRUE(messages.ok());
  EXPECT_EQ((*messages)[0].fields[0].second.text(), "user") << "what the template sees";
  EXPECT_THAT(ErrorOf(R"([{"role":"narrator","content":"a"}])", Names::kSpeakers),
              HasSubstr("l[0].role is \"narrator\", legal are human, gpt"));
  EXPECT_THAT(ErrorOf(R"([{"from":"narrator","value":"a"}])", Names::kRoles),
              HasSubstr("l[0].from is \"narrator\", legal are human, gpt"));
}

TEST(MessageReaderTest, NamesTheKeyThatIsMissing) {
  EXPECT_THAT(ErrorOf(R"([{"content":"a"}])"), HasSubstr("l[0].role is missing"));
  EXPECT_THAT(ErrorOf(R"([{"content":"a"}])", Names::kSpeakers), HasSubstr("l[0].from is missing"));
  EXPECT_THAT(ErrorOf(R"([{"from":"human","content":"a"}])"), HasSubstr("l[0].value is missing"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","value":"a"}])", Names::kSpeakers),
              HasSubstr("l[0].content is missing"));
}

TEST(MessageReaderTest, JoinsTheTextsOfContentParts) {
  const auto messages = Read(
      R"([{"role":"user","content":[{"type":"text","text":"a\n"},{"type":"text","text":"b"}]},)"
      R"({"from":"gpt","value":[{"type":"text","text":"c","image_url":null}]}])");
  EXPECT_THAT(Told(messages), ElementsAre("user: a\nb", "assistant: c"));
  ASSERT_TRUE(messages.ok());
  EXPECT_EQ((*messages)[0].fields[1].second.text(), "a\nb") << "what the template sees";
}

TEST(MessageReaderTest, RefusesContentPartsThatAreNoText) {
  EXPECT_THAT(
      ErrorOf(R"([{"role":"user","content":[{"type":"text","text":"a"},)"
              R"({"type":"image_url","image_url":{"url":"x"}}]}])"),
      HasSubstr("l[0].content[1].type is \"image_url\", legal is \"text\": models learn from text "
                "alone; leave this record out, or the part"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[]}])"),
              HasSubstr("l[0].content is a list of 0, legal is text, or a list of"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":["a"]}])"),
              HasSubstr("l[0].content[0] is \"a\", legal is {\"type\": \"text\", \"text\": text}"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[{"text":"a"}]}])"),
              HasSubstr("l[0].content[0] is an object"));
  EXPECT_THAT(ErrorOf(R"([{"role":"user","content":[{"type":"text","text":7}]}])"),
              HasSubstr("l[0].content[0].text is 7, legal is text"));
}

std::optional<bool> TrainOf(const std::string& mark, FieldNames::Names fields = {}) {
  const auto messages = Read((R"([{"role":"assistant","content":"a")" + mark + "}]").c_str(),
                             Names::kRoles, std::move(fields));
  EXPECT_TRUE(messages.ok()) << messages.status();
  return messages.ok() ? (*messages)[0].train : std::nullopt;
}

TEST(MessageReaderTest, ReadsWhetherAMessageCarriesLoss) {
  EXPECT_THAT(TrainOf(R"(,"weight":0)"), Optional(false));
  EXPECT_THAT(TrainOf(R"(,"weight":1)"), Optional(true));
  EXPECT_THAT(TrainOf(R"(,"weight":0.0)"), Optional(false));
  EXPECT_THAT(TrainOf(R"(,"train":false)"), Optional(false));
  EXPECT_THAT(TrainOf(R"(,"train":true,"weight":1)"), Optional(true));
  EXPECT_THAT(TrainOf(R"(,"weight":null,"train":null,"train_detail":[])"), Eq(std::nullopt));
  EXPECT_THAT(TrainOf(""), Eq(std::nullopt));
  EXPECT_THAT(TrainOf(R"(,"training":false,"train":"yes")", {{"train", "training"}}),
              Optional(false));
}

TEST(MessageReaderTest, ReadsItInTurnsToo) {
  const auto turns = Read(R"([{"from":"gpt","value":"a","weight":0}])", Names::kSpeakers);
  ASSERT_TRUE(turns.ok()) << turns.status();
  EXPECT_THAT((*turns)[0].train, Optional(false));
}

struct IllegalMark {
  const char* mark;
  const char* error;
};

TEST(MessageReaderTest, RefusesOtherMarksThanItKnows) {
  for (const IllegalMark& illegal : {
           IllegalMark{R"("weight":0.5)", "l[0].weight is 0.5, legal are 0 (no loss) and 1"},
           IllegalMark{R"("weight":2)", "l[0].weight is 2, legal are 0 (no loss) and 1"},
           IllegalMark{R"("weight":"0")", "l[0].weight is \"0\", legal are 0 (no loss) and 1"},
           IllegalMark{R"("weight":false)", "l[0].weight is false, legal are 0 (no loss) and 1"},
           IllegalMark{R"("train":0)", "l[0].train is 0, legal are true and false (no loss)"},
           IllegalMark{R"("train":"no")", "l[0].train is \"no\", legal are true and false"},
           IllegalMark{R"("train":true,"weight":0)", "l[0].train is true, weight says otherwise"},
           IllegalMark{R"("train_detail":[{"begin_offset":0,"end_offset":1,"train":false}])",
                       "l[0].train_detail is not supported; legal is a message that is trained on, "
                       "or not, as a whole"},
       }) {
    const std::string list =
        std::string(R"([{"role":"assistant","content":"a",)") + illegal.mark + "}]";
    EXPECT_THAT(ErrorOf(list.c_str()), HasSubstr(illegal.error));
  }
}

}  // namespace
}  // namespace dropbp::data
