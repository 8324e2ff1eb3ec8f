// From a dialogue to token ids with a loss mask.
#pragma once

#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/chat_renderer.h"
#include "worker/data/chat_template.h"
#include "worker/data/dataset.h"
#include "worker/data/record.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// Where all tokens carry loss, and in a record that is a text, everything is the answer, less what
// the data marks to carry none; in other dialogues see Note [Where the answer is].
// The whole text is tokenised once, so that ids are those of the text and never depend on where the
// loss begins. A token carries loss if its first byte lies in a range; one that begins in the
// prompt and reaches into the answer is given to the model, not learned.
//
// Immutable; safe to share among threads.
class SampleBuilder {
 public:
  static absl::StatusOr<SampleBuilder> Load(const std::string& model_dir, const DatasetSpec& spec);

  // Text and ranges of a record. Messages behind the last answer are left out, unless all tokens
  // carry loss.
  // INVALID_ARGUMENT if the template refuses the dialogue or its renderings are no prefixes of one
  // another, or a message is marked to carry loss, or not, where it cannot be.
  absl::StatusOr<RenderedRecord> Render(const Record& record) const;

  // Tokens and mask of a rendered record, of any length.
  absl::StatusOr<Sample> Tokenize(const RenderedRecord& rendered) const;

  // Text up to the last answer, generation prompt included. INVALID_ARGUMENT for a record without
  // an answer.
  absl::StatusOr<std::string> RenderPrompt(const Record& record) const;

 private:
  SampleBuilder() = default;

  absl::StatusOr<RenderedRecord> RenderPlain(const Record& record) const;
  absl::StatusOr<std::string> PlainPrompt(const Record& record) const;
  std::string BeginText() const;

  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<const ChatTemplate> template_;  // null: the model has none
  absl::StatusOr<std::string> end_text_ = "";     // the end token
  LossOn loss_on_ = LossOn::kAllTurns;
};

}  // namespace dropbp::data
