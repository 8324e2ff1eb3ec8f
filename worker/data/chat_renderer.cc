#include "worker/data/chat_renderer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

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

// What ranges in ascending order leave of a text.
std::vector<RenderedChat::Range> Between(const std::vector<RenderedChat::Range>& ranges,
                                         size_t size) {
  std::vector<RenderedChat::Range> between;
  size_t begin = 0;
  for (const RenderedChat::Range& range : ranges) {
    between.push_back({begin, range.begin});
    begin = std::max(begin, range.end);
  }
  between.push_back({begin, size});
  return between;
}

}  // namespace

LossOn LossOnOf(const std::string& name) {
  return name == "last_turn"    ? LossOn::kLastTurn
         : name == "all_tokens" ? LossOn::kAllTokens
                                : LossOn::kAllTurns;
}

absl::StatusOr<std::string> ChatRenderer::RenderTurns(const Record& record, size_t count,
                                                      bool prompt) const {
  const absl::Span<const Message> turns = absl::MakeConstSpan(record.messages).first(count);
  ASSIGN_OR_RETURN(RenderedChat chat, template_.Render(turns, prompt, record.tools));
  return std::move(chat.text);
}

absl::Status ChatRenderer::CheckMarks(const Record& record) const {
  const bool all_tokens = loss_on_ == LossOn::kAllTokens;
  for (size_t i = 0; i < record.messages.size(); ++i) {
    const Message& message = record.messages[i];
    if (!message.train.has_value()) continue;
    const bool may_differ =
        message.role == "assistant" && (all_tokens || i >= record.prompt_messages);
    if (may_differ || *message.train == all_tokens) continue;
    const std::string where =
        absl::StrCat("messages[", i, "]: a message of role ", hf::QuoteForError(message.role),
                     i < record.prompt_messages ? " in the prompt" : "");
    return absl::InvalidArgumentError(
        all_tokens ? absl::StrCat(where,
                                  " is marked to carry no loss (weight or train); with "
                                  "dataset.loss_on all_tokens legal is that on assistant "
                                  "messages alone")
                   : absl::StrCat(where,
                                  " is marked to carry loss (weight or train); legal is that "
                                  "on answers alone, or dataset.loss_on all_tokens for loss "
                                  "on everything"));
  }
  return absl::OkStatus();
}

std::vector<size_t> ChatRenderer::ChosenTurns(const Record& record, size_t count) const {
  if (loss_on_ == LossOn::kLastTurn) {
    const int64_t last = record.LastAnswer();
    return last < 0 ? std::vector<size_t>() : std::vector<size_t>{static_cast<size_t>(last)};
  }
  std::vector<size_t> turns;
  for (size_t turn = 0; turn < count; ++turn) {
    const Message& message = record.messages[turn];
    const bool unmarked = message.role == "assistant" && !message.train.value_or(true);
    if (loss_on_ == LossOn::kAllTokens ? unmarked : record.IsAnswer(turn)) turns.push_back(turn);
  }
  return turns;
}

absl::StatusOr<RenderedRecord> ChatRenderer::Render(const Record& record) const {
  RETURN_IF_ERROR(CheckMarks(record));
  const bool all_tokens = loss_on_ == LossOn::kAllTokens;
  const int64_t last = record.LastAnswer();
  const size_t count =
      last >= 0 && !all_tokens ? static_cast<size_t>(last) + 1 : record.messages.size();
  ASSIGN_OR_RETURN(RenderedChat whole,
                   template_.Render(absl::MakeConstSpan(record.messages).first(count),
                                    /*add_generation_prompt=*/false, record.tools));
  RenderedRecord rendered;
  rendered.text = whole.text;
  ASSIGN_OR_RETURN(rendered.supervised,
                   FindAnswers(record, count, ChosenTurns(record, count), std::move(whole)));
  if (all_tokens) rendered.supervised = Between(rendered.supervised, rendered.text.size());
  return rendered;
}

absl::StatusOr<ChatRenderer::Ranges> ChatRenderer::FindAnswers(const Record& record, size_t count,
                                                               const std::vector<size_t>& turns,
                                                               RenderedChat whole) const {
  Ranges ranges;
  const bool all_tokens = loss_on_ == LossOn::kAllTokens;
  if (template_.MarksGeneration() && !(all_tokens && turns.empty())) {
    return MarkedAnswers(record, count, turns, std::move(whole.generation));
  }
  RETURN_IF_ERROR(CheckRenderingCost(turns.size(), whole.text.size()));
  for (const size_t turn : turns) {
    ASSIGN_OR_RETURN(const RenderedChat::Range range,
                     FindAnswer(record, turn, turn + 1 == count, whole.text));
    ranges.push_back(range);
  }
  return ranges;
}

absl::StatusOr<ChatRenderer::Ranges> ChatRenderer::MarkedAnswers(const Record& record, size_t count,
                                                                 const std::vector<size_t>& turns,
                                                                 Ranges marked) const {
  std::vector<size_t> all;
  for (size_t turn = 0; turn < count; ++turn) {
    if (record.messages[turn].role == "assistant") all.push_back(turn);
  }
  Ranges ranges;
  if (marked.size() == all.size()) {
    for (size_t i = 0; i < all.size(); ++i) {
      if (std::binary_search(turns.begin(), turns.end(), all[i])) ranges.push_back(marked[i]);
    }
    return ranges;
  }
  if (loss_on_ != LossOn::kAllTokens) {
    if (turns == all) return marked;
    if (turns.empty() || marked.empty()) return ranges;
    if (loss_on_ == LossOn::kLastTurn) return Ranges{marked.back()};
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the chat template marks ", marked.size(), " answers of ", all.size(),
      " assistant messages by {% generation %}, so that those that carry no loss cannot be told "
      "from the others; legal is one for each"));
}

absl::StatusOr<RenderedChat::Range> ChatRenderer::FindAnswer(const Record& record, size_t turn,
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

absl::StatusOr<std::string> ChatRenderer::RenderPrompt(const Record& record) const {
  const int64_t last = record.LastAnswer();
  if (last < 0) {
    return absl::InvalidArgumentError("the dialogue has no assistant message that carries loss");
  }
  return RenderTurns(record, static_cast<size_t>(last), /*prompt=*/true);
}

}  // namespace dropbp::data
