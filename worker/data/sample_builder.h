// From a dialogue to token ids with a loss mask.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/chat_template.h"
#include "worker/data/dataset.h"
#include "worker/data/record.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// A dialogue as text, and the byte ranges whose tokens carry loss.
struct RenderedRecord {
  std::string text;
  std::vector<RenderedChat::Range> supervised;
};

// Note [Where the answer is]
// Where all tokens carry loss, and in a record that is a text, everything is the answer; else:
// (a) A template with {% generation %} says itself: its ranges are taken as they are, all of them
// or the last one. (b) Without the tag, the answer of turn k is what rendering turns 0 to k adds to
// rendering turns 0 to k - 1 with the
//     generation prompt, which must be a prefix of it. White space after the last special token of
//     that (the newline behind an end-of-turn token) is not part of the answer: a model never has
//     to write it.
// (c) The whole text is tokenised once, so that ids are those of the text and never depend on where
// the loss begins. A
//     token carries loss if its first byte lies in a range; one that begins in the prompt and
//     reaches into the answer is given to the model, not learned.
//
// Immutable; safe to share among threads.
class SampleBuilder {
 public:
  static absl::StatusOr<SampleBuilder> Load(const std::string& model_dir, const DatasetSpec& spec);

  // Text and ranges of a record. Messages behind the last assistant turn are left out, unless all
  // tokens carry loss.
  // INVALID_ARGUMENT if the template refuses the dialogue or its renderings are no prefixes of one
  // another.
  absl::StatusOr<RenderedRecord> Render(const Record& record) const;

  // Tokens and mask of a rendered record, of any length.
  absl::StatusOr<Sample> Tokenize(const RenderedRecord& rendered) const;

  // Text up to the last answer, generation prompt included. INVALID_ARGUMENT for a record without
  // an answer.
  absl::StatusOr<std::string> RenderPrompt(const Record& record) const;

 private:
  SampleBuilder() = default;

  enum class LossOn { kAllTurns, kLastTurn, kAllTokens };

  absl::StatusOr<RenderedRecord> RenderPlain(const Record& record) const;
  absl::StatusOr<RenderedRecord> RenderChat(const Record& record) const;
  absl::StatusOr<RenderedChat::Range> FindAnswer(const Record& record, size_t turn, bool is_last,
                                                 const std::string& whole) const;
  absl::StatusOr<std::string> RenderTurns(const Record& record, size_t count, bool prompt) const;
  absl::StatusOr<std::string> PlainPrompt(const Record& record) const;
  std::string BeginText() const;

  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<const ChatTemplate> template_;  // null: the model has none
  absl::StatusOr<std::string> end_text_ = "";     // the end token
  LossOn loss_on_ = LossOn::kAllTurns;
};

}  // namespace dropbp::data
