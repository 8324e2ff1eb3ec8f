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
  }
  // Needed for texts, and for all records of a model without a template.
  builder.end_text_ = EndTokenText(model_dir, *builder.tokenizer_);
  if (builder.template_ == nullptr) RETURN_IF_ERROR(builder.end_text_.status());
  builder.loss_on_ = spec.loss_on == "last_turn"    ? LossOn::kLastTurn
                     : spec.loss_on == "all_tokens" ? LossOn::kAllTokens
                                                    : LossOn::kAllTurns;
  return builder;
}

absl::StatusOr<RenderedRecord> SampleBuilder::Render(const Record& record) const {
  const bool is_plain = template_ == nullptr || record.format == RecordFormat::kText;
  return is_plain ? RenderPlain(record) : RenderChat(record);
}

// The begin tokens that the tokenizer's post-processor would add stand in the text itself, where
// they are recognised.
std::string SampleBuilder::BeginText() const {
  std::string text;
  for (TokenId begin : tokenizer_->Around().begin) text += tokenizer_->Token(begin);
  return text;
}

absl::StatusOr<std::string> SampleBuilder::PlainPrompt(const Record& record) const {
  if (record.format == RecordFormat::kMessages || record.format == RecordFormat::kConversations) {
    return absl::InvalidArgumentError(absl::StrCat(
        RecordFormatName(record.format), " need a chat template, and the model has none"));
  }
  if (record.format == RecordFormat::kText)
    return absl::InvalidArgumentError("a text has no prompt");
  // Instructions are written for a template of their own; a blank line parts them from the answer.
  const char* border = record.format == RecordFormat::kAlpaca ? "\n\n" : "";
  return absl::StrCat(BeginText(), record.messages[0].content, border);
}

absl::StatusOr<RenderedRecord> SampleBuilder::RenderPlain(const Record& record) const {
  RETURN_IF_ERROR(end_text_.status());
  RenderedRecord rendered;
  if (record.format == RecordFormat::kText) {
    rendered.text = absl::StrCat(BeginText(), record.text, *end_text_);
    rendered.supervised.push_back({0, rendered.text.size()});
    return rendered;
  }
  ASSIGN_OR_RETURN(rendered.text, PlainPrompt(record));
  const size_t begin = loss_on_ == LossOn::kAllTokens ? 0 : rendered.text.size();
  absl::StrAppend(&rendered.text, record.messages[1].content, *end_text_);
  rendered.supervised.push_back({begin, rendered.text.size()});
  return rendered;
}

absl::StatusOr<std::string> SampleBuilder::RenderTurns(const Record& record, size_t count,
                                                       bool prompt) const {
  const absl::Span<const Message> turns = absl::MakeConstSpan(record.messages).first(count);
  ASSIGN_OR_RETURN(RenderedChat chat, template_->Render(turns, prompt, record.tools));
  return std::move(chat.text);
}

absl::StatusOr<RenderedRecord> SampleBuilder::RenderChat(const Record& record) const {
  const int64_t last = record.LastAnswer();
  const size_t count = last >= 0 && loss_on_ != LossOn::kAllTokens ? static_cast<size_t>(last) + 1
                                                                   : record.messages.size();
  ASSIGN_OR_RETURN(RenderedChat whole,
                   template_->Render(absl::MakeConstSpan(record.messages).first(count),
                                     /*add_generation_prompt=*/false, record.tools));
  RenderedRecord rendered;
  rendered.text = std::move(whole.text);
  if (loss_on_ == LossOn::kAllTokens) {
    rendered.supervised.push_back({0, rendered.text.size()});
    return rendered;
  }
  const bool last_turn_only = loss_on_ == LossOn::kLastTurn;
  if (template_->MarksGeneration()) {
    rendered.supervised = std::move(whole.generation);
    if (last_turn_only && !rendered.supervised.empty()) {
      rendered.supervised.erase(rendered.supervised.begin(), rendered.supervised.end() - 1);
    }
    return rendered;
  }
  std::vector<size_t> turns;
  for (size_t turn = 0; turn < count; ++turn) {
    const bool is_last = static_cast<int64_t>(turn) == last;
    if (is_last || (!last_turn_only && record.messages[turn].role == "assistant"))
      turns.push_back(turn);
  }
  RETURN_IF_ERROR(CheckRenderingCost(turns.size(), rendered.text.size()));
  for (const size_t turn : turns) {
    ASSIGN_OR_RETURN(const RenderedChat::Range range,
                     FindAnswer(record, turn, turn + 1 == count, rendered.text));
    rendered.supervised.push_back(range);
  }
  return rendered;
}

absl::StatusOr<RenderedChat::Range> SampleBuilder::FindAnswer(const Record& record, size_t turn,
                                                              bool is_last,
                                                              const std::string& whole) const {
  ASSIGN_OR_RETURN(const std::string prompt, RenderTurns(record, turn, /*prompt=*/true));
  std::string with_answer = whole;
  if (!is_last) {
    ASSIGN_OR_RETURN(with_answer, RenderTurns(record, turn + 1, /*prompt=*/false));
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
  const bool exact =
      loss_on_ == LossOn::kAllTokens || (template_ != nullptr && template_->MarksGeneration());
  for (RenderedChat::Range& range : ranges) {
    const std::string_view text = std::string_view(rendered.text).substr(0, range.end);
    const size_t end = jinja::StripRight(text, nullptr).size();
    const auto token = std::lower_bound(encoding.ends.begin(), encoding.ends.end(), end);
    const bool ends_special =
        token != encoding.ends.end() && *token == end &&
        tokenizer_->IsSpecial(sample.ids[static_cast<size_t>(token - encoding.ends.begin())]);
    if (!exact && ends_special) range.end = end;
  }
  for (size_t i = 1; i < sample.ids.size(); ++i) {
    sample.supervised[i] = InRanges(encoding.ends[i - 1], ranges);
  }
  return sample;
}

absl::StatusOr<std::string> SampleBuilder::RenderPrompt(const Record& record) const {
  if (template_ == nullptr || record.format == RecordFormat::kText) return PlainPrompt(record);
  const int64_t last = record.LastAnswer();
  if (last < 0) return absl::InvalidArgumentError("the dialogue has no assistant message");
  return RenderTurns(record, static_cast<size_t>(last), /*prompt=*/true);
}

}  // namespace dropbp::data
