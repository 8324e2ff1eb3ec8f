#include "worker/data/prompt.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/data/chat_template.h"

namespace dropbp::data {

absl::StatusOr<std::string> RenderPrompt(const std::string& model_dir, const std::string& prompt,
                                         bool needs_template) {
  const auto chat_template = ChatTemplate::Load(model_dir);
  if (absl::IsNotFound(chat_template.status()) && !needs_template) return prompt;
  if (!chat_template.ok()) return chat_template.status();
  ASSIGN_OR_RETURN(const RenderedChat rendered,
                   (*chat_template)->Render({{"user", prompt}}, /*add_generation_prompt=*/true));
  return rendered.text;
}

absl::StatusOr<std::vector<TokenId>> EncodePrompt(const Tokenizer& tokenizer,
                                                  const std::string& text) {
  ASSIGN_OR_RETURN(std::vector<TokenId> ids, tokenizer.Encode(text));
  const std::vector<TokenId>& begin = tokenizer.Around().begin;
  const bool has_begin =
      ids.size() >= begin.size() && std::equal(begin.begin(), begin.end(), ids.begin());
  if (!has_begin) ids.insert(ids.begin(), begin.begin(), begin.end());
  if (ids.empty()) return absl::InvalidArgumentError("the prompt is empty");
  return ids;
}

absl::StatusOr<std::vector<std::vector<TokenId>>> EncodeEvaluationPrompts(
    const std::vector<std::string>& prompts, const std::string& model_dir) {
  std::vector<std::vector<TokenId>> encoded;
  if (prompts.empty()) return encoded;
  ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(model_dir));
  for (const std::string& prompt : prompts) {
    absl::StatusOr<std::string> text = RenderPrompt(model_dir, prompt);
    absl::StatusOr<std::vector<TokenId>> ids =
        text.ok() ? EncodePrompt(*tokenizer, *text) : text.status();
    if (!ids.ok()) {
      return Annotate(ids.status(),
                      absl::StrCat("evaluation.prompts: prompt ", encoded.size() + 1));
    }
    encoded.push_back(*std::move(ids));
  }
  return encoded;
}

}  // namespace dropbp::data
