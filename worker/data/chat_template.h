// The model's own chat template: a subset of Jinja2 that covers what models ship, with trim_blocks
// and lstrip_blocks on.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "worker/data/jinja/value.h"

namespace dropbp::data {

struct Message {
  std::string role;
  std::string content;
  // All that the template sees of the message, in its order, among it role and content. Empty: just
  // these two.
  jinja::Entries fields = {};
  // Whether the data says that the message carries loss, or that it does not.
  std::optional<bool> train = std::nullopt;
};

// A rendered dialogue and the byte ranges inside {% generation %} blocks.
struct RenderedChat {
  std::string text;
  struct Range {
    size_t begin;
    size_t end;
  };
  std::vector<Range> generation;
};

// Immutable after parsing; safe to share among threads.
class ChatTemplate {
 public:
  // From <model_dir>/chat_template.jinja or, without it, chat_template in tokenizer_config.json (a
  // text, or a list of {name, template} of which "default" is taken), with that file's special
  // tokens. NOT_FOUND if the model has none; INVALID_ARGUMENT with the line for a construct that is
  // not supported. `clock` is the time that strftime_now prints, and must outlive the template.
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Load(
      const std::string& model_dir, const Clock& clock = SystemClock());
  // `special_tokens` are named as templates name them: bos_token, eos_token, ...
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Parse(
      std::string_view source, std::map<std::string, std::string> special_tokens,
      const Clock& clock = SystemClock());
  static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Parse(std::string_view source,
                                                                   std::string bos_token,
                                                                   std::string eos_token);
  virtual ~ChatTemplate() = default;

  // Renders; bounded in steps, depth and output. An error raised by the template (raise_exception)
  // is INVALID_ARGUMENT.
  virtual absl::StatusOr<RenderedChat> Render(absl::Span<const Message> messages,
                                              bool add_generation_prompt,
                                              const jinja::Value& tools) const = 0;
  absl::StatusOr<RenderedChat> Render(absl::Span<const Message> messages,
                                      bool add_generation_prompt) const {
    return Render(messages, add_generation_prompt, jinja::None{});
  }

  // Whether the template marks what the model generates by {% generation %}.
  virtual bool MarksGeneration() const = 0;
};

}  // namespace dropbp::data
