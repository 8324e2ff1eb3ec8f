// Greedy decoding of a batch of prompts.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "worker/data/tokenizer.h"
#include "worker/trainer/model/decoder.h"

namespace dropbp::trainer {

// The most likely continuation of each prompt, token by token, until an end token of the model's
// configuration (which is part of the answer) or `max_tokens`. Prompts must not be empty; they run
// as one batch, padded to the left, and each gets the tokens it would get alone, up to rounding.
// Ends with what there is where `stopped`, asked before each token, says so. Throws what torch
// throws.
std::vector<std::vector<data::TokenId>> GenerateGreedily(
    Decoder& decoder, const std::vector<std::vector<data::TokenId>>& prompts, int64_t max_tokens,
    const std::function<bool()>& stopped = [] { return false; });

}  // namespace dropbp::trainer
