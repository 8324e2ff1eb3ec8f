// A dialogue through the model's chat template, and where in it the loss is.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/chat_template.h"
#include "worker/data/record.h"

namespace dropbp::data {

enum class LossOn { kAllTurns, kLastTurn, kAllTokens };

// By the name that a job gives it.
LossOn LossOnOf(const std::string& name);

// A record as text, and the byte ranges whose tokens carry loss.
struct RenderedRecord {
  std::string text;
  std::vector<RenderedChat::Range> supervised;
};

// Note [Where the answer is]
// Loss is on those messages that Record::IsAnswer names, all of them or the last one, or, with all
// tokens, on everything but the assistant's messages that the data marks to carry none. In the text
// (a) A template with {% generation %} says itself what is the assistant's: its ranges are taken as
//     they are, all of them or the last one; where only some of his messages are meant otherwise,
//     there must be one range for each.
// (b) Without the tag, the answer of turn k is what rendering turns 0 to k adds to rendering turns
//     0 to k - 1 with the generation prompt, which must be a prefix of it. White space after the
//     last special token of that (the newline behind an end-of-turn token) is not part of the
//     answer: a model never has to write it.
class ChatRenderer {
 public:
  // The template must outlive the renderer.
  ChatRenderer(const ChatTemplate& chat_template, LossOn loss_on)
      : template_(chat_template), loss_on_(loss_on) {}

  // Messages behind the last answer are left out, unless all tokens carry loss. INVALID_ARGUMENT if
  // the template refuses the dialogue or its renderings are no prefixes of one another, or if a
  // message is marked to carry loss, or not, where it cannot be.
  absl::StatusOr<RenderedRecord> Render(const Record& record) const;

  // Text up to the last answer, generation prompt included. INVALID_ARGUMENT for a dialogue without
  // an answer.
  absl::StatusOr<std::string> RenderPrompt(const Record& record) const;

 private:
  using Ranges = std::vector<RenderedChat::Range>;

  absl::Status CheckMarks(const Record& record) const;
  // Assistant's turns among the first `count` messages, in their order: those that carry loss; with
  // all tokens those that carry none.
  std::vector<size_t> ChosenTurns(const Record& record, size_t count) const;
  absl::StatusOr<Ranges> FindAnswers(const Record& record, size_t count,
                                     const std::vector<size_t>& turns, RenderedChat whole) const;
  absl::StatusOr<Ranges> MarkedAnswers(const Record& record, size_t count,
                                       const std::vector<size_t>& turns, Ranges marked) const;
  absl::StatusOr<RenderedChat::Range> FindAnswer(const Record& record, size_t turn, bool is_last,
                                                 const std::string& whole) const;
  absl::StatusOr<std::string> RenderTurns(const Record& record, size_t count, bool prompt) const;

  const ChatTemplate& template_;
  const LossOn loss_on_;
};

}  // namespace dropbp::data
