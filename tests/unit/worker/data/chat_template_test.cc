#include "worker/data/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/civil_time.h"
#include "tests/unit/worker/hf/temporary_folder.h"

namespace dropbp::data {
namespace {

using testing::HasSubstr;

const std::vector<Message> kMessages = {{"user", "Hi"}, {"assistant", "Yes"}};

absl::StatusOr<RenderedChat> RenderChat(std::string_view source, bool prompt = false) {
  auto parsed = ChatTemplate::Parse(source, "<s>", "</s>");
  if (!parsed.ok()) return parsed.status();
  return (*parsed)->Render(kMessages, prompt);
}

std::string Rendered(std::string_view source) {
  const auto chat = RenderChat(source);
  EXPECT_TRUE(chat.ok()) << chat.status() << " in " << source;
  return chat.ok() ? chat->text : "";
}

TEST(ChatTemplateTest, GivesTemplatesTheirVariables) {
  EXPECT_EQ(
      Rendered("{{ bos_token }}{{ messages[0].role }}{{ messages[1]['content'] }}{{ eos_token }}"),
      "<s>userYes</s>");
  EXPECT_EQ(RenderChat("{{ add_generation_prompt }} {{ tools is none }}", true)->text, "True True");
}

TEST(ChatTemplateTest, TrimsWhiteSpaceAroundTags) {
  EXPECT_EQ(Rendered("a\n  {% if true %}\n  b\n  {% endif %}\nc\n"), "a\n  b\nc")
      << "trim_blocks and lstrip_blocks";
  EXPECT_EQ(Rendered("a \n {%- if true -%} \n b {%- endif -%} \n c"), "abc");
  EXPECT_EQ(Rendered("a {%+ if true +%}\nb{% endif %}"), "a \nb");
  EXPECT_EQ(Rendered("a {{- ' b ' -}} c"), "a b c");
  EXPECT_EQ(Rendered("a{# note #}\nb {#- note -#} c"), "abc");
  EXPECT_EQ(Rendered("{{ 'a' }}\nb\r\nc\rd"), "a\nb\nc\nd");
}

TEST(ChatTemplateTest, ScopesNamesAsJinjaDoes) {
  EXPECT_EQ(
      Rendered(
          "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}"),
      "221");
  EXPECT_EQ(Rendered("{% if true %}{% set x = 1 %}{% endif %}{{ x }}"), "1");
  EXPECT_EQ(Rendered("{% set n = namespace(x=0) %}{% for m in messages %}{% set n.x = n.x + 1 %}{% "
                     "endfor %}{{ n.x }}"),
            "2");
  EXPECT_EQ(Rendered("{% for m in messages %}{% endfor %}{{ m is defined }}{{ loop is defined }}"),
            "FalseFalse");
}

TEST(ChatTemplateTest, TellsWhatIsGenerated) {
  const auto chat = RenderChat(
      "{% for m in messages %}<{{ m.role }}>{% generation %}{{ m.content }}.{% endgeneration %}{% "
      "endfor %}");
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->text, "<user>Hi.<assistant>Yes.");
  ASSERT_EQ(chat->generation.size(), 2u);
  EXPECT_EQ(chat->text.substr(chat->generation[1].begin,
                              chat->generation[1].end - chat->generation[1].begin),
            "Yes.");
}

TEST(ChatTemplateTest, PrintsTheTimeOfItsClock) {
  const ManualClock clock(
      absl::FromCivil(absl::CivilSecond(2024, 2, 29, 8, 5, 0), absl::LocalTimeZone()));
  const auto chat_template = ChatTemplate::Parse("{{ strftime_now('%d %b %Y %H:%M') }}",
                                                 std::map<std::string, std::string>{}, clock);
  ASSERT_TRUE(chat_template.ok());
  EXPECT_EQ((*chat_template)->Render({}, false)->text, "29 Feb 2024 08:05");
}

TEST(ChatTemplateTest, PassesOnWhatATemplateRaises) {
  const auto chat = RenderChat("\n{{ raise_exception('roles must alternate') }}");
  EXPECT_EQ(chat.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(chat.status().message(),
              HasSubstr("line 2: the template says: roles must alternate"));
}

TEST(ChatTemplateTest, LoadsAFileOfItsOwnBeforeTheTokenizersConfig) {
  TemporaryFolder folder;
  EXPECT_EQ(ChatTemplate::Load(folder.path()).status().code(), absl::StatusCode::kNotFound);
  folder.Write(
      "tokenizer_config.json",
      R"({"bos_token": {"content": "<b>"}, "chat_template": [{"name": "rag", "template": "no"},
                   {"name": "default", "template": "{{ bos_token }}1"}]})");
  EXPECT_EQ((*ChatTemplate::Load(folder.path()))->Render({}, false)->text, "<b>1");
  folder.Write("chat_template.jinja", "{{ bos_token }}2");
  EXPECT_EQ((*ChatTemplate::Load(folder.path()))->Render({}, false)->text, "<b>2");
  folder.Write("chat_template.jinja", "\n{% macro x() %}");
  EXPECT_THAT(
      ChatTemplate::Load(folder.path()).status().message(),
      HasSubstr("chat_template.jinja: chat template: line 2: the tag 'macro' is not supported"));
}

struct Hostile {
  std::string what;
  std::string source;
  std::string error;
};

class HostileTemplateTest : public testing::TestWithParam<Hostile> {};

TEST_P(HostileTemplateTest, IsRefusedWithOneClearErrorAndItsLine) {
  const auto chat = RenderChat(GetParam().source);
  ASSERT_FALSE(chat.ok());
  EXPECT_THAT(chat.status().message(), HasSubstr(GetParam().error));
}

std::string Repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

std::vector<Hostile> HostileTemplates() {
  return {
      {"OpenTag", "a\n{% if x", "line 2: a tag does not end with %}"},
      {"OpenOutput", "{{ 'a'", "line 1: an output does not end with }}"},
      {"OpenComment", "\n\n{# a", "line 3: a comment does not end"},
      {"OpenString", "{{ 'abc }}", "line 1: a string does not end"},
      {"OpenIf", "{% if true %}a", "line 1: expected {% endif %}, found the end of the template"},
      {"OpenFor", "{% for m in messages %}", "expected {% endfor %}"},
      {"WrongEnd", "{% if true %}{% endfor %}", "the tag 'endfor' is not supported here"},
      {"Brackets", "{{ (1] }}", "unexpected ']'"},
      {"Character", "{{ 1 ? 2 }}", "unexpected character '?'"},
      {"NoExpression", "{{ }}", "expected an expression, found }}"},
      {"TwoExpressions", "{{ 1 2 }}", "expected }}, found '2'"},
      {"Include", "\n{% include 'x' %}", "line 2: the tag 'include' is not supported"},
      {"Import", "{% import 'os' as os %}", "the tag 'import' is not supported"},
      {"Recursive", "{% for m in messages recursive %}{% endfor %}",
       "recursive loops are not supported"},
      {"UnknownFilter", "{{ 'a' | pprint }}", "line 1: the filter 'pprint' is not supported"},
      {"UnknownTest", "{{ 1 is prime }}", "the test 'prime' is not supported"},
      {"UnknownMethod", "{{ 'a'.zfill(3) }}", "the method 'zfill' of a str is not supported"},
      {"Dunder", "{{ ''.__class__.__mro__ }}", "a str has no attribute '__class__'"},
      {"BreakOutside", "{% break %}", "break or continue outside of a loop"},
      {"BreakOutOfGeneration",
       "{% for m in messages %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
       "outside of a loop"},
      {"BadEscape", R"({{ '\ud800' }})", "a broken \\x, \\u or \\U escape"},
      {"BigInteger", "{{ 99999999999999999999 }}", "an integer above 2^63 - 1"},
      {"Overflow", "{{ 9223372036854775807 + 1 }}", "the result of '+' is beyond 64 bits"},
      {"PowerOverflow", "{{ 10 ** 100 }}", "the result of '**' is beyond 64 bits"},
      {"DivisionByZero", "\n{{ 1 // 0 }}", "line 2: division by zero"},
      {"SmallestQuotient", "{{ (-9223372036854775807 - 1) // -1 }}", "beyond 64 bits"},
      {"UndefinedAttribute", "{{ nothing.role }}", "'nothing' is undefined"},
      {"UndefinedCall", "{{ nothing() }}", "'nothing' is undefined"},
      {"UndefinedSum", "{{ 'a' + messages[0].name }}", "a dict has no attribute 'name'"},
      {"KindsOfSum", "{{ 'a' + 1 }}", "'+' does not go with str and int"},
      {"LoopOverNone", "{% for x in none %}{% endfor %}", "cannot loop over a value of kind None"},
      {"TakeApart", "{% for a, b in messages %}{% endfor %}", "needs a list of 2 values"},
      {"NoNamespace", "{% set x = 1 %}{% set x.y = 2 %}", "'x' is no namespace"},
      {"NamespaceInItself", "{% set n = namespace() %}{% set n.n = n %}",
       "cannot be put into a namespace"},
      {"NamespaceInAList", "{% set n = namespace() %}{% set n.n = [n] %}",
       "a namespace inside one"},
      {"DeepBrackets", "{{ " + Repeated("(", 5000) + "1" + Repeated(")", 5000) + " }}",
       "nested deeper than 64 levels"},
      {"DeepMinus", "{{ " + Repeated("-", 100'000) + "1 }}", "nested deeper than 64 levels"},
      {"DeepNot", "{{ " + Repeated("not ", 100'000) + "1 }}", "nested deeper than 64 levels"},
      {"DeepIf", Repeated("{% if 1 %}", 1000), "nested deeper than 64 levels"},
      {"LongChain", "{{ 1" + Repeated(" + 1", 100'000) + " }}", "more than 200 levels"},
      {"LongAttributeChain", "{{ a" + Repeated(".a", 100'000) + " }}", "more than 200 levels"},
      {"DeepList",
       "{% set n = namespace(l=[]) %}{% for i in range(1000) %}{% set n.l = [n.l] %}{% endfor %}",
       "nested too deep"},
      {"EndlessLoops",
       "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% "
       "endfor %}{% endfor %}"
       "{% endfor %}",
       "more than 10000000 steps"},
      {"HugeRange", "{{ range(9223372036854775807) | length }}", "more than 10000000 steps"},
      {"HugeText", "{{ 'abcdefgh' * 1000000000 }}", "text of more than 67108864 bytes"},
      {"DoublingText",
       "{% set n = namespace(s='ab') %}{% for i in range(64) %}{% set n.s = n.s + n.s %}{% endfor "
       "%}",
       "text of more than 67108864 bytes"},
      {"HugeOutput", "{% set s = 'a' * 60000000 %}{{ s }}{{ s }}",
       "prints more than 67108864 bytes"},
      {"ReplaceGrows", "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}",
       "text of more than 67108864 bytes"},
      {"JoinGrows", "{% set s = 'a' * 1000000 %}{{ s.join([s, s, s, s] * 0 + [s]) }}",
       "'*' does not go with list"},
      {"SharedLists",
       "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor "
       "%}{{ n.l }}",
       "a list or dict of more than 10000000 elements"},
      {"PrintsSharedLists",
       "{% set n = namespace(l=[1]) %}{% for i in range(20) %}{% set n.l = [n.l, n.l] %}{% endfor "
       "%}"
       "{% for i in range(100) %}{{ n.l }}{% endfor %}",
       "more than 10000000 steps"},
      {"SlowSearch", "{% set s = 'a' * 30000000 %}{% set p = 'a' * 10000000 + 'b' %}{{ p in s }}",
       "more than 10000000 steps"},
      {"ManyComparisons",
       "{% set l = range(100000) | list %}{% for i in l %}{% if l == l %}{% endif %}{% endfor %}",
       "more than 10000000 steps"},
      {"BigTemplate", std::string((1 << 20) + 1, 'x'), "legal are at most 1048576"},
      {"SliceStepZero", "{{ 'abc'[::0] }}", "a slice with step 0"},
      {"StrftimeWithoutFormat", "{{ strftime_now() }}", "take one argument"},
  };
}

INSTANTIATE_TEST_SUITE_P(All, HostileTemplateTest, testing::ValuesIn(HostileTemplates()),
                         [](const auto& info) { return info.param.what; });

TEST(ChatTemplateTest, AnswersSlicesBeyondTheEndsAsPythonDoes) {
  EXPECT_EQ(Rendered("{{ 'abcde'[-9223372036854775807:9223372036854775807] }}"), "abcde");
  EXPECT_EQ(Rendered("{{ 'abcde'[::-9223372036854775807] }}"), "e");
  EXPECT_EQ(Rendered("{{ 'abcde'[3:1] }}|{{ 'abcde'[3:1:-1] }}|{{ 'abcde'[-2:] }}"), "|dc|de");
  EXPECT_EQ(Rendered("{{ '\u00e9\u4e2dx'[1] }}{{ '\u00e9\u4e2dx'[::-1] }}"), "\u4e2dx\u4e2d\u00e9");
}

}  // namespace
}  // namespace dropbp::data
