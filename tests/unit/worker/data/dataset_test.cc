#include "worker/data/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "tests/unit/worker/data/dataset_fixture.h"

namespace dropbp::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST_F(DatasetTest, PutsLossOnEveryAnswerAndItsEnd) {
  const TokenizedDataset dataset = MustLoad(kDialogue);
  ASSERT_EQ(dataset.samples.size(), 1u);
  EXPECT_EQ(Marked(dataset.samples[0]),
            "<|start|>user\na<|end|>\n<|start|>assistant\n[b<|end|>]\n"
            "<|start|>user\nc<|end|>\n<|start|>assistant\n[d<|end|>]\n");
  EXPECT_EQ(dataset.report.format, "messages");
  EXPECT_EQ(dataset.report.samples, 1);
  EXPECT_EQ(dataset.report.supervised_tokens, 4);
  EXPECT_EQ(dataset.report.tokens, static_cast<int64_t>(dataset.samples[0].ids.size()));
}

TEST_F(DatasetTest, PutsLossOnTheLastAnswerOnlyIfAsked) {
  spec_.loss_on = "last_turn";
  EXPECT_THAT(Marked(MustLoad(kDialogue).samples[0]),
              AllOf(HasSubstr("assistant\nb<|end|>"), HasSubstr("assistant\n[d<|end|>]")));
}

TEST_F(DatasetTest, LeavesOutWhatFollowsTheLastAnswer) {
  EXPECT_THAT(
      Marked(MustLoad(
                 R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},)"
                 R"({"role":"user","content":"late"}]})")
                 .samples[0]),
      Not(HasSubstr("late")));
}

TEST_F(DatasetTest, HonoursGenerationTags) {
  WriteTinyModel(folder_,
                 "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation "
                 "%}{{ m.content }}"
                 "</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}");
  EXPECT_EQ(Marked(MustLoad(kDialogue).samples[0]),
            "<user>a<assistant>[b</s>]<user>c<assistant>[d</s>]");
  spec_.loss_on = "last_turn";
  EXPECT_EQ(Marked(MustLoad(kDialogue).samples[0]),
            "<user>a<assistant>b</s><user>c<assistant>[d</s>]");
}

TEST_F(DatasetTest, NeverLetsTheLossChangeTheTokens) {
  // The pre-tokenizer takes the newline of the prompt and those of the answer as one word; that
  // word has a token.
  WriteTinyModel(folder_, kTinyChatTemplate, TinyTokenizer({{"\u010a", "\u010a"}}));
  const TokenizedDataset dataset = MustLoad(
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"\n\nb"}]})");
  EXPECT_EQ(Marked(dataset.samples[0]),
            "<|start|>user\na<|end|>\n<|start|>assistant\n\n[\nb<|end|>]\n");
}

TEST_F(DatasetTest, ReadsAlpacaAndPromptCompletionAsOneTurnEach) {
  EXPECT_EQ(Marked(MustLoad(R"({"instruction":"add","input":"1 2","output":"3"})").samples[0]),
            "<|start|>user\nadd\n\n1 2<|end|>\n<|start|>assistant\n[3<|end|>]\n");
  EXPECT_EQ(Marked(MustLoad(R"({"instruction":"add","output":"3"})").samples[0]),
            "<|start|>user\nadd<|end|>\n<|start|>assistant\n[3<|end|>]\n");
  const TokenizedDataset dataset = MustLoad(R"({"prompt":"p","completion":"c"})");
  EXPECT_EQ(Marked(dataset.samples[0]),
            "<|start|>user\np<|end|>\n<|start|>assistant\n[c<|end|>]\n");
  EXPECT_EQ(dataset.report.format, "prompt_completion");
}

TEST_F(DatasetTest, WritesPromptCompletionAndEndWithoutATemplate) {
  WriteTinyModel(folder_, "");
  EXPECT_EQ(Marked(MustLoad(R"({"prompt":"2+2=","completion":"4"})").samples[0]), "2+2=[4</s>]");
  EXPECT_EQ(Marked(MustLoad(R"({"instruction":"add","output":"3"})").samples[0]), "add\n\n[3</s>]");
  EXPECT_THAT(ErrorOf(kDialogue),
              HasSubstr("messages need a chat template, and the model has none"));
  EXPECT_THAT(ErrorOf(R"({"prompt":[{"role":"user","content":"a"}],)"
                      R"("completion":[{"role":"assistant","content":"b"}]})"),
              HasSubstr("lists of messages need a chat template, and the model has none"));
  EXPECT_THAT(ErrorOf(R"({"prompt":"a","completion":"b","tools":[{"name":"f"}]})"),
              HasSubstr("tools need a chat template, and the model has none"));
}

TEST_F(DatasetTest, WritesASystemMessageAndABlankLineFirstWithoutATemplate) {
  WriteTinyModel(folder_, "");
  EXPECT_EQ(Marked(MustLoad(R"({"system":"s","prompt":"2+2=","completion":"4"})").samples[0]),
            "s\n\n2+2=[4</s>]");
  EXPECT_EQ(
      Marked(MustLoad(R"({"system":"s","instruction":"i","input":"x","output":"3"})").samples[0]),
      "s\n\ni\n\nx\n\n[3</s>]");
  const std::string path =
      folder_.Write("data.jsonl", R"({"system":"s","prompt":"2+2=","completion":"4"})");
  const auto prompts = LoadPrompts(path, spec_, folder_.path());
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  EXPECT_EQ((*prompts)[0].prompt, "s\n\n2+2=");
  EXPECT_EQ((*prompts)[0].answer, "4");
}

TEST_F(DatasetTest, ReadsConversationsByTheRolesOfTheirSpeakers) {
  const TokenizedDataset dataset = MustLoad(
      R"({"system":"s","conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]})");
  EXPECT_EQ(Marked(dataset.samples[0]),
            "<|start|>system\ns<|end|>\n<|start|>user\na<|end|>\n<|start|>assistant\n[b<|end|>]\n");
  EXPECT_EQ(dataset.report.format, "conversations");
  EXPECT_THAT(ErrorOf(R"({"conversations":[{"from":"narrator","value":"a"}]})"),
              HasSubstr("conversations[0].from is \"narrator\", legal are human, gpt"));
}

TEST_F(DatasetTest, LearnsTextsWholeWithTheirEnd) {
  const TokenizedDataset dataset = MustLoad(R"({"text":"abc"})");
  // Nothing predicts the first token.
  EXPECT_EQ(Marked(dataset.samples[0]), "a[bc</s>]");
  EXPECT_EQ(dataset.report.format, "text");
}

TEST_F(DatasetTest, PutsLossOnAllTokensIfAsked) {
  spec_.loss_on = "all_tokens";
  EXPECT_EQ(Marked(MustLoad(R"({"messages":[{"role":"user","content":"a"}]})").samples[0]),
            "<|start|>[user\na<|end|>\n]");
  WriteTinyModel(folder_, "");
  EXPECT_EQ(Marked(MustLoad(R"({"prompt":"2+","completion":"4"})").samples[0]), "2[+4</s>]");
}

TEST_F(DatasetTest, TakesOtherNamesOfFields) {
  spec_.fields = {{"prompt", "question"}, {"completion", "answer"}};
  EXPECT_EQ(Marked(MustLoad(R"({"question":"p","answer":"c","prompt":7})").samples[0]),
            "<|start|>user\np<|end|>\n<|start|>assistant\n[c<|end|>]\n");
  spec_.fields = {{"messages", "chat"}, {"role", "who"}, {"content", "what"}};
  EXPECT_EQ(
      Marked(MustLoad(R"({"chat":[{"who":"user","what":"p"},{"who":"assistant","what":"c"}]})")
                 .samples[0]),
      "<|start|>user\np<|end|>\n<|start|>assistant\n[c<|end|>]\n");
  EXPECT_THAT(ErrorOf(R"({"chat":[{"who":"user"}]})"), HasSubstr("chat[0].what is missing"));
}

TEST_F(DatasetTest, RemovesSamplesThatAreTheSameIfAsked) {
  const std::string data =
      "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":\"a\",\"completion\":\"c\"}\n"
      "{\"completion\":\"b\",\"prompt\":\"a\",\"id\":3}";
  EXPECT_EQ(MustLoad(data).samples.size(), 3u);
  spec_.duplicates = "remove";
  const TokenizedDataset dataset = MustLoad(data);
  EXPECT_EQ(dataset.samples.size(), 2u);
  EXPECT_EQ(dataset.report.duplicates, 1);
}

TEST_F(DatasetTest, GivesTheTemplateToolsAndAllKeysOfMessages) {
  WriteTinyModel(folder_,
                 "{{ tools | tojson if tools else '' }}{% for m in messages %}<{{ m.role }}>"
                 "{{ m.content if m.content is not none }}"
                 "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{% endfor %}"
                 "{% if add_generation_prompt %}<assistant>{% endif %}");
  EXPECT_EQ(
      Marked(MustLoad(R"({"tools":[{"b":1,"a":2.50}],"messages":[{"role":"user","content":"x"},)"
                      R"({"role":"assistant","content":null,"tool_calls":[{"z":[true,null]}]}]})")
                 .samples[0]),
      "[{\"b\": 1, \"a\": 2.5}]<user>x<assistant>[[{\"z\": [true, null]}]]");
}

// A file in the agent's cache of data sets, named by its content.
class CachedDatasetTest : public DatasetTest {
 protected:
  void SetUp() override {
    DatasetTest::SetUp();
    spec_.artifact = std::string(64, 'a');
  }
  absl::StatusOr<TokenizedDataset> LoadCached() {
    return LoadDataset(cache_.path() + "/" + spec_.artifact, spec_, folder_.path());
  }
  // The one file beside the data.
  std::string CacheFile() {
    for (const auto& entry : std::filesystem::directory_iterator(cache_.path())) {
      if (entry.path().filename() != spec_.artifact) return entry.path();
    }
    return "";
  }

  TemporaryFolder cache_;
};

TEST_F(CachedDatasetTest, IsTokenisedOnce) {
  cache_.Write(spec_.artifact, std::string(kDialogue) + "\n" + kDialogue);
  const auto first = LoadCached();
  ASSERT_TRUE(first.ok()) << first.status();
  cache_.Write(spec_.artifact, "this would be refused");
  const auto again = LoadCached();
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_EQ(again->samples.size(), 2u);
  EXPECT_EQ(again->samples[1].ids, first->samples[1].ids);
  EXPECT_EQ(again->samples[1].supervised, first->samples[1].supervised);
  EXPECT_EQ(again->samples[1].line, 2);
  EXPECT_EQ(again->report.supervised_tokens, first->report.supervised_tokens);
  EXPECT_EQ(again->report.format, "messages");
}

TEST_F(CachedDatasetTest, IsTokenisedAgainForOtherSettingsOrAnotherTokenizer) {
  cache_.Write(spec_.artifact, kDialogue);
  ASSERT_TRUE(LoadCached().ok());
  spec_.loss_on = "last_turn";
  EXPECT_EQ(LoadCached()->report.supervised_tokens, 2);
  WriteTinyModel(folder_, kTinyChatTemplate, TinyTokenizer({{"u", "s"}}));
  EXPECT_EQ(LoadCached()->samples[0].ids[1], 256) << "us of user";
}

TEST_F(CachedDatasetTest, IsTokenisedAgainIfAnyByteOfTheCacheIsWrong) {
  cache_.Write(spec_.artifact, kDialogue);
  ASSERT_TRUE(LoadCached().ok());
  const std::string path = CacheFile();
  const std::string name = std::filesystem::path(path).filename();
  const std::string whole = *ReadFile(path, 1 << 20);
  cache_.Write(spec_.artifact, "this would be refused");
  ASSERT_TRUE(LoadCached().ok());
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string wrong = whole;
    wrong[i] = static_cast<char>(wrong[i] ^ 1);
    cache_.Write(name, wrong);
    EXPECT_FALSE(LoadCached().ok()) << "byte " << i;
  }
  cache_.Write(name, whole.substr(0, whole.size() / 2));
  EXPECT_FALSE(LoadCached().ok());
}

TEST_F(CachedDatasetTest, IsTokenisedAgainIfAnEarlierReadingMadeTheCache) {
  cache_.Write(spec_.artifact, kDialogue);
  ASSERT_TRUE(LoadCached().ok());
  const std::string path = CacheFile();
  const std::string whole = *ReadFile(path, 1 << 20);
  constexpr std::string_view kEarlier = "dropbp tokens 1";
  constexpr size_t kDigestBytes = 64;
  const std::string earlier =
      std::string(kEarlier) +
      whole.substr(kEarlier.size(), whole.size() - kDigestBytes - kEarlier.size());
  cache_.Write(std::filesystem::path(path).filename().string(), earlier + Sha256Hex(earlier));
  cache_.Write(spec_.artifact, "this would be refused");
  EXPECT_FALSE(LoadCached().ok());
}

TEST_F(DatasetTest, ToleratesWhatEditorsAndOtherSystemsWrite) {
  const TokenizedDataset dataset = MustLoad(
      "\xef\xbb\xbf{\"prompt\":\"a\",\"completion\":\"b\"}\r\n\r\n  "
      "\n{\"prompt\":\"c\",\"completion\":\"d\",\"id\":7}");
  ASSERT_EQ(dataset.samples.size(), 2u);
  EXPECT_EQ(dataset.samples[0].line, 1);
  EXPECT_EQ(dataset.samples[1].line, 4);
}

TEST_F(DatasetTest, TruncatesDropsOrRefusesLongSamples) {
  const std::string data =
      "{\"prompt\":\"short\",\"completion\":\"x\"}\n{\"prompt\":\"short\",\"completion\":\"" +
      std::string(100, 'y') + "\"}";
  spec_.max_length = 60;
  const TokenizedDataset truncated = MustLoad(data);
  EXPECT_EQ(truncated.report.truncated, 1);
  EXPECT_EQ(truncated.samples[1].ids.size(), 60u);
  EXPECT_GT(truncated.report.longest, 100);
  spec_.overlength = "drop";
  const TokenizedDataset dropped = MustLoad(data);
  EXPECT_EQ(dropped.report.dropped, 1);
  EXPECT_EQ(dropped.samples.size(), 1u);
  spec_.overlength = "refuse";
  EXPECT_THAT(ErrorOf(data),
              HasSubstr("data.jsonl:2: 126 tokens, legal are at most max_length 60"));
}

TEST_F(DatasetTest, RefusesAFileWithoutSupervisedTokensAndShowsItsFirstRecord) {
  EXPECT_THAT(ErrorOf(R"({"messages":[{"role":"user","content":"only me"}]})"),
              AllOf(HasSubstr("no token carries loss in any of 1 records"),
                    HasSubstr("<|start|>user\nonly me<|end|>\n")));
  spec_.max_length = 8;
  EXPECT_THAT(ErrorOf(R"({"prompt":"a prompt that fills it all","completion":"b"})"),
              AllOf(HasSubstr("within max_length 8; 1 of them are longer, up to "),
                    HasSubstr("tokens, and were cut: raise dataset.max_length; the first one is "
                              "rendered as:")));
}

TEST_F(DatasetTest, ExplainsTemplatesWhoseAnswersCannotBeFound) {
  WriteTinyModel(folder_,
                 "{% for m in messages %}{{ m.role }}:{{ m.content }}{% endfor %}"
                 "{% if add_generation_prompt %}[think]{% endif %}");
  EXPECT_THAT(ErrorOf(kDialogue),
              HasSubstr("messages[1]: the chat template does not render an answer as"));
  WriteTinyModel(
      folder_,
      "{% for m in messages %}{{ m.role }}:{% if loop.last and m.role == 'assistant' %}!{% endif %}"
      "{{ m.content }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}");
  EXPECT_THAT(ErrorOf(kDialogue), HasSubstr("set dataset.loss_on to last_turn"));
  spec_.loss_on = "last_turn";
  EXPECT_THAT(Marked(MustLoad(kDialogue).samples[0]), HasSubstr("assistant:[!d]"));
}

TEST_F(DatasetTest, ShowsTwentyBadLinesAndCountsTheOthers) {
  std::string data = "{\"prompt\":\"a\",\"completion\":\"b\"}\n";
  for (int i = 0; i < 30; ++i) data += "broken\n";
  const std::string error = ErrorOf(data);
  EXPECT_THAT(error, HasSubstr("data.jsonl:2: column 1"));
  EXPECT_THAT(error, HasSubstr("data.jsonl:21: "));
  EXPECT_THAT(error, Not(HasSubstr("data.jsonl:22: ")));
  EXPECT_THAT(error, HasSubstr("and 10 more bad lines"));
}

TEST_F(DatasetTest, NamesAFileThatIsNotThere) {
  EXPECT_THAT(LoadDataset("/nowhere/data.jsonl", spec_, folder_.path()).status().message(),
              HasSubstr("/nowhere/data.jsonl"));
  EXPECT_THAT(LoadDataset(folder_.path(), spec_, folder_.path()).status().message(),
              HasSubstr("not a regular file"));
}

TEST_F(DatasetTest, GivesPromptsAndAnswersForEvaluation) {
  const std::string path = folder_.Write("data.jsonl", absl::StrCat(kDialogue, "\n"));
  const auto prompts = LoadPrompts(path, spec_, folder_.path());
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  ASSERT_EQ(prompts->size(), 1u);
  EXPECT_EQ((*prompts)[0].prompt,
            "<|start|>user\na<|end|>\n<|start|>assistant\nb<|end|>\n<|start|>user\nc<|end|>\n<|"
            "start|>assistant\n");
  EXPECT_EQ((*prompts)[0].answer, "d");

  folder_.Write("data.jsonl", R"({"messages":[{"role":"user","content":"a"}]})");
  EXPECT_THAT(LoadPrompts(path, spec_, folder_.path()).status().message(),
              HasSubstr("data.jsonl:1: the dialogue has no assistant message"));
}

TEST_F(DatasetTest, SaysOnceThatNoFormatHasTheKeys) {
  const std::string record = R"({"question":"a","answer":"b"})";
  const auto path = folder_.Write("data.jsonl", record + "\n" + record + "\n");
  const std::string error(LoadDataset(path, spec_, folder_.path()).status().message());
  EXPECT_THAT(error,
              ::testing::EndsWith("for example {prompt: \"question\", completion: \"answer\"}"));
  EXPECT_THAT(error, ::testing::Not(HasSubstr("\n")));
}

struct Hostile {
  std::string what;
  std::string data;
  std::string error;
};

class HostileDatasetTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileDatasetTest, IsRefusedWithOneClearError) {
  TemporaryFolder folder;
  WriteTinyModel(folder);
  const auto dataset =
      LoadDataset(folder.Write("data.jsonl", GetParam().data), DatasetSpec{}, folder.path());
  ASSERT_FALSE(dataset.ok());
  EXPECT_EQ(dataset.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(dataset.status().message(), HasSubstr("data.jsonl"));
  EXPECT_THAT(dataset.status().message(), HasSubstr(GetParam().error));
}

std::string ManyMessages() {
  std::string list;
  for (int i = 0; i < 5000; ++i)
    absl::StrAppend(&list, i == 0 ? "" : ",", R"({"role":"user","content":""})");
  return list;
}

std::vector<Hostile> HostileFiles() {
  const std::string good = "{\"prompt\":\"a\",\"completion\":\"b\"}\n";
  return {
      {"Empty", "", "the file has no records"},
      {"OnlyBlankLines", "\n \r\n\t\n", "the file has no records"},
      {"OnlyABom", "\xef\xbb\xbf", "the file has no records"},
      {"NotJson", "hello", "data.jsonl:1: column 1"},
      {"CutJson", "{\"prompt\": \"a", "data.jsonl:1: column"},
      {"List", "[[1]]", "data.jsonl:1: found a list of 1, legal is an object"},
      {"Number", good + "3", "data.jsonl:2: found 3"},
      {"PrettyPrinted", "{\n\"prompt\": \"a\"\n}", "data.jsonl:1: "},
      {"TwoValues", "{} {}", "expected end of input"},
      {"UnknownKeys", R"({"question":"a","answer":"b"})",
       "found the keys \"question\", \"answer\";"},
      {"NoKeys", "{}", "found the keys none"},
      {"OtherFormatLater", good + R"({"instruction":"a","output":"b"})",
       "data.jsonl:2: prompt is missing"},
      {"PromptIsANumber", R"({"prompt":1,"completion":"b"})", "prompt is 1, legal is text"},
      {"CompletionIsNull", R"({"prompt":"a","completion":null})", "completion is null"},
      {"OutputIsMissing",
       R"({"instruction":"a","output":"b"})"
       "\n"
       R"({"instruction":"a"})",
       "output is missing"},
      {"MessagesIsText", R"({"messages":"hi"})", "messages is \"hi\""},
      {"MessagesIsEmpty", R"({"messages":[]})", "messages is a list of 0"},
      {"MessageIsText", R"({"messages":["hi"]})", "messages[0].found \"hi\""},
      {"RoleIsMissing", R"({"messages":[{"content":"a"}]})", "messages[0].role is missing"},
      {"RoleIsEmpty", R"({"messages":[{"role":"","content":"a"}]})", "messages[0].role is \"\""},
      {"ContentIsAList", R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})",
       "messages[0].content[0].text is missing, legal is text"},
      {"ContentIsNull", R"({"messages":[{"role":"user","content":null}]})",
       "messages[0].content is null, legal is text"},
      {"ToolsIsText", R"({"messages":[{"role":"user","content":"a"}],"tools":"f"})",
       "tools is \"f\", legal is a list of objects"},
      {"HugeNumber", R"({"messages":[{"role":"user","content":"a","id":18446744073709551615}]})",
       "messages[0].id: 18446744073709551615 does not fit 64 bits"},
      {"KeyTwice", R"({"prompt":"a","prompt":"b","completion":"c"})",
       "the key \"prompt\" occurs twice"},
      {"InvalidUtf8", good + "{\"prompt\":\"\xc3\x28\",\"completion\":\"b\"}",
       "data.jsonl:2: invalid UTF-8 at byte 11"},
      {"LoneSurrogate", R"({"prompt":"\ud800","completion":"b"})", "data.jsonl:1: column"},
      {"Utf16", std::string("\xff\xfe{\0}\0", 6), "invalid UTF-8 at byte 0"},
      {"Deep", "{\"prompt\":" + std::string(100'000, '['), "nested deeper than 64 levels"},
      {"LongLine", good + std::string((16 << 20) + 1, 'x') + "\n",
       "data.jsonl:2: longer than 16777216 bytes"},
      {"ManyMessages", "{\"messages\":[" + ManyMessages() + "]}", "messages is a list of 5000"},
      {"Binary", std::string("\0\1\2\3", 4), "data.jsonl:1: "},
  };
}

INSTANTIATE_TEST_SUITE_P(All, HostileDatasetTest, testing::ValuesIn(HostileFiles()),
                         [](const auto& info) { return info.param.what; });

}  // namespace
}  // namespace dropbp::data
