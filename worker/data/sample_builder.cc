#include "worker/data/sample_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/data/jinja/text_form.h"
#include "worker/data/special_tokens.h"

namespace dropbp::data {
namespace {

bool InRanges(size_t position, const std::vector<RenderedChat::Range>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [position](const auto& range) {
    return position >= range.begin && position < range.end;
  });
}

// Finding each answer renders the dialogue up to it twice.
absl::Status CheckRenderingCost(size_t answers, size_t text_bytes) {
  constexpr size_t kMaxRenderedBytes = size_t{1} << 30;
  if (2 * answers * text_bytes <= kMaxRenderedBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a dialogue of ", answers, " answers and ", text_bytes,
                   " bytes is too long to find its answers; split it, set dataset.loss_on to "
                   "last_turn, or mark answers with "
                   "{% generation %} in the chat template"));
}

}  // namespace

absl::StatusOr<SampleBuilder> SampleBuilder::Load(const std::string& model_dir,
                                                  const DatasetSpec& spec) {
  SampleBuilder builder;
  ASSIGN_OR_RETURN(builder.tokenizer_, Tokenizer::Load(model_dir));
  auto chat_template = ChatTemplate::Load(model_dir);
  if (chat_template.ok()) {
    builder.template_ = *std::move(chat_template);
  } else if (!absl::IsNotFound(chat_template.status())) {
    return chat_template.status();
  } else {
    ASSIGN_OR_RETURN(builder.end_text_, EndTokenText(model_dir, *builder.tokenizer_));
  }
  builder.last_turn_only_ = spec.loss_on == "last_turn";
  return builder;
}

absl::StatusOr<RenderedRecord> SampleBuilder::Render(const Record& record) const {
  return template_ == nullptr ? RenderPlain(record) : RenderChat(record);
}

// The begin token that the tokenizer's post-processor would add stands in the text itself, where it
// is recognised.
std::string SampleBuilder::PlainPrompt(const Record& record) const {
  const TokenId begin = tokenizer_->AddedBeginToken();
  const std::string begin_text =
      begin < 0 ? "" : tokenizer_->Decode({begin}, /*skip_special=*/false);
  // Instructions are written for a template of their own; a blank line parts them from the answer.
  const char* border = record.format == RecordFormat::kAlpaca ? "\n\n" : "";
  return absl::StrCat(begin_text, record.messages[0].content, border);
}

absl::StatusOr<RenderedRecord> SampleBuilder::RenderPlain(const Record& record) const {
  if (record.format == RecordFormat::kMessages) {
    return absl::InvalidArgumentError("messages need a chat template, and the model has none");
  }
  RenderedRecord rendered;
  rendered.text = PlainPrompt(record);
  const size_t begin = rendered.text.size();
  absl::StrAppend(&rendered.text, record.messages[1].content, end_text_);
  rendered.supervised.push_back({begin, rendered.text.size()});
  return rendered;
}

absl::StatusOr<std::string> SampleBuilder::RenderTurns(const std::vector<Message>& messages,
                                                       size_t count, bool prompt) const {
  const std::vector<Message> turns(messages.begin(),
                                   messages.begin() + static_cast<ptrdiff_t>(count));
  ASSIGN_OR_RETURN(RenderedChat chat, template_->Render(turns, prompt));
  return std::move(chat.text);
}

absl::StatusOr<RenderedRecord> SampleBuilder::RenderChat(const Record& record) const {
  std::vector<Message> messages = record.messages;
  const int64_t last = record.LastAnswer();
  if (last >= 0) messages.resize(static_cast<size_t>(last) + 1);
  ASSIGN_OR_RETURN(RenderedChat whole,
                   template_->Render(messages, /*add_generation_prompt=*/false));
  RenderedRecord rendered;
  rendered.text = std::move(whole.text);
  if (template_->MarksGeneration()) {
    rendered.supervised = std::move(whole.generation);
    if (last_turn_only_ && !rendered.supervised.empty()) {
      rendered.supervised.erase(rendered.supervised.begin(), rendered.supervised.end() - 1);
    }
    return rendered;
  }
  std::vector<size_t> turns;
  for (size_t turn = 0; turn < messages.size(); ++turn) {
    const bool is_last = static_cast<int64_t>(turn) == last;
    if (is_last || (!last_turn_only_ && messages[turn].role == "assistant")) turns.push_back(turn);
  }
  RETURN_IF_ERROR(CheckRenderingCost(turns.size(), rendered.text.size()));
  for (const size_t turn : turns) {
    ASSIGN_OR_RETURN(const RenderedChat::Range range, FindAnswer(messages, turn, rendered.text));
    rendered.supervised.push_back(range);
  }
  return rendered;
}

absl::StatusOr<RenderedChat::Range> SampleBuilder::FindAnswer(const std::vector<Message>& messages,
                                                              size_t turn,
                                                              const std::string& whole) const {
  ASSIGN_OR_RETURN(const std::string prompt, RenderTurns(messages, turn, /*prompt=*/true));
  const bool is_last = turn + 1 == messages.size();
  std::string with_answer = whole;
  if (!is_last) {
    ASSIGN_OR_RETURN(with_answer, RenderTurns(messages, turn + 1, /*prompt=*/false));
  }
  if (!absl::StartsWith(with_answer, prompt)) {
    return absl::InvalidArgumentError(
        absl::StrCat("messages[", turn,
                     "]: the chat template does not render an answer as its generation prompt "
                     "begins it, so that "
                     "the answer cannot be told from the prompt; mark it with {% generation %} in "
                     "the template"));
  }
  if (!absl::StartsWith(whole, with_answer)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "messages[", turn,
        "]: the chat template renders this answer in another way when turns follow; set "
        "dataset.loss_on to last_turn, or mark answers with {% generation %} in the template"));
  }
  return RenderedChat::Range{prompt.size(), with_answer.size()};
}

absl::StatusOr<Sample> SampleBuilder::Tokenize(const RenderedRecord& rendered) const {
  ASSIGN_OR_RETURN(Encoding encoding, tokenizer_->EncodeWithOffsets(rendered.text));
  Sample sample;
  sample.ids = std::move(encoding.ids);
  sample.supervised.resize(sample.ids.size());
  // See Note [Where the answer is], (b): ends of answers move in front of white space behind a
  // special token.
  std::vector<RenderedChat::Range> ranges = rendered.supervised;
  const bool marked = template_ != nullptr && template_->MarksGeneration();
  for (RenderedChat::Range& range : ranges) {
    const std::string_view text = std::string_view(rendered.text).substr(0, range.end);
    const size_t end = jinja::StripRight(text, nullptr).size();
    const auto token = std::lower_bound(encoding.ends.begin(), encoding.ends.end(), end);
    const bool ends_special =
        token != encoding.ends.end() && *token == end &&
        tokenizer_->IsSpecial(sample.ids[static_cast<size_t>(token - encoding.ends.begin())]);
    if (!marked && ends_special) range.end = end;
  }
  for (size_t i = 1; i < sample.ids.size(); ++i) {
    sample.supervised[i] = InRanges(encoding.ends[i - 1], ranges);
  }
  return sample;
}

absl::StatusOr<std::string> SampleBuilder::RenderPrompt(const Record& record) const {
  const int64_t last = record.LastAnswer();
  if (last < 0) return absl::InvalidArgumentError("the dialogue has no assistant message");
  if (template_ != nullptr)
    return RenderTurns(record.messages, static_cast<size_t>(last), /*prompt=*/true);
  if (record.format == RecordFormat::kMessages) {
    return absl::InvalidArgumentError("messages need a chat template, and the model has none");
  }
  return PlainPrompt(record);
}

}  // namespace dropbp::data
