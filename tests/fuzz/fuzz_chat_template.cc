// Chat templates: parsing and rendering, which are bounded in steps, depth and output.
#include <cstdlib>
#include <string_view>

#include "worker/data/chat_template.h"

namespace {

using dropbp::data::Message;

// The first dialogue has what templates for tools look at.
std::vector<Message> ToolDialogue() {
  using Value = dropbp::data::jinja::Value;
  const Value call = Value::MakeDict(
      {{"type", "function"},
       {"function",
        Value::MakeDict({{"name", "f"}, {"arguments", Value::MakeDict({{"x", int64_t{1}}})}})}});
  Message answer{"assistant", "", {}};
  answer.fields = {{"role", "assistant"},
                   {"content", dropbp::data::jinja::None{}},
                   {"tool_calls", std::vector<Value>{call}}};
  return {{"system", "s"},
          {"user", " a\n"},
          answer,
          {"tool", "1.5"},
          {"assistant", "<think>x</think>b"}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const dropbp::ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  const auto parsed =
      dropbp::data::ChatTemplate::Parse(std::string_view(reinterpret_cast<const char*>(data), size),
                                        {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, clock);
  if (!parsed.ok()) return 0;
  const std::vector<Message> plain = {{"user", "a"}, {"assistant", "b"}, {"user", "c"}};
  for (const auto& messages : {plain, ToolDialogue()}) {
    const auto chat = (*parsed)->Render(messages, /*add_generation_prompt=*/true);
    if (!chat.ok()) continue;
    for (const auto& range : chat->generation) {
      if (range.begin > range.end || range.end > chat->text.size()) std::abort();
    }
  }
  return 0;
}
