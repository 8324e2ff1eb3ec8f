// What a model is given of a prompt that a person wrote.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer.h"

namespace dropbp::data {

// The prompt as one user turn of the model's chat template, ready for the answer; as it is where
// the model has no template, unless `needs_template`: NOT_FOUND then.
absl::StatusOr<std::string> RenderPrompt(const std::string& model_dir, const std::string& prompt,
                                         bool needs_template = false);

// Ids of a rendered prompt: the tokenizer's begin token, where it adds one and the text has not got
// it, and the text. INVALID_ARGUMENT if there are none.
absl::StatusOr<std::vector<TokenId>> EncodePrompt(const Tokenizer& tokenizer,
                                                  const std::string& text);

// Ids of the prompts of a job (evaluation.prompts), each rendered by RenderPrompt. Errors name the
// field and the prompt's place, from 1.
absl::StatusOr<std::vector<std::vector<TokenId>>> EncodeEvaluationPrompts(
    const std::vector<std::string>& prompts, const std::string& model_dir);

}  // namespace dropbp::data
