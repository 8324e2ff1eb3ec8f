#include "worker/data/sample_builder.h"

#include <algorithm>
#include <utility>

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

absl::Status NoTemplate(std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(what), " need a chat template, and the model has none"));
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
  builder.loss_on_ = LossOnOf(spec.loss_on);
  return builder;
}

absl::StatusOr<RenderedRecord> SampleBuilder::Render(const Record& record) const {
  const bool is_plain = template_ == nullptr || record.format == RecordFormat::kText;
  return is_plain ? RenderPlain(record) : ChatRenderer(*template_, loss_on_).Render(record);
}

// The begin tokens that the tokenizer's post-processor would add stand in the text itself, where
// they are recognised.
std::string SampleBuilder::BeginText() const {
  std::string text;
  for (TokenId begin : tokenizer_->Around().begin) text += tokenizer_->Token(begin);
  return text;
}

absl::StatusOr<std::string> SampleBuilder::PlainPrompt(const Record& record) const {
  if (record.format == RecordFormat::kText)
    return absl::InvalidArgumentError("a text has no prompt");
  if (record.NeedsTemplate()) {
    return NoTemplate(record.prompt_messages > 0 ? "lists of messages"
                                                 : RecordFormatName(record.format));
  }
  if (record.tools.Truth()) return NoTemplate("tools");
  // Instructions are written for a template of their own, and system messages stand apart: a blank
  // line follows them.
  std::string prompt = BeginText();
  for (size_t i = 0; i + 1 < record.messages.size(); ++i) {
    const Message& message = record.messages[i];
    const bool apart = record.format == RecordFormat::kAlpaca || message.role == "system";
    absl::StrAppend(&prompt, message.content, apart ? "\n\n" : "");
  }
  return prompt;
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
  absl::StrAppend(&rendered.text, record.messages.back().content, *end_text_);
  rendered.supervised.push_back({begin, rendered.text.size()});
  return rendered;
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
  return ChatRenderer(*template_, loss_on_).RenderPrompt(record);
}

}  // namespace dropbp::data
