#include "worker/trainer/generate/greedy.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "worker/trainer/model/kv_cache.h"

namespace dropbp::trainer {
namespace {

// Prompts side by side, ending at the same column.
struct PaddedPrompts {
  at::Tensor ids;      // int64 [batch, longest]
  at::Tensor padding;  // int64 [batch]
};

PaddedPrompts PadLeft(const std::vector<std::vector<data::TokenId>>& prompts) {
  size_t longest = 0;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size());
  const int64_t batch = static_cast<int64_t>(prompts.size());
  PaddedPrompts padded{at::zeros({batch, static_cast<int64_t>(longest)}, at::kLong),
                       at::zeros({batch}, at::kLong)};
  for (int64_t row = 0; row < batch; ++row) {
    const auto& prompt = prompts[row];
    int64_t* ids = padded.ids.mutable_data_ptr<int64_t>() + row * longest;
    padded.padding.mutable_data_ptr<int64_t>()[row] = static_cast<int64_t>(longest - prompt.size());
    std::copy(prompt.begin(), prompt.end(), ids + (longest - prompt.size()));
  }
  return padded;
}

bool IsEnd(const Decoder& decoder, int64_t token) {
  const std::vector<int64_t>& ends = decoder.config().eos_token_ids;
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

// The next token of each row, [batch] on the CPU.
at::Tensor NextTokens(Decoder& decoder, const at::Tensor& hidden) {
  return decoder.Logits(hidden.select(1, hidden.size(1) - 1)).argmax(-1).cpu();
}

}  // namespace

std::vector<std::vector<data::TokenId>> GenerateGreedily(
    Decoder& decoder, const std::vector<std::vector<data::TokenId>>& prompts, int64_t max_tokens,
    const std::function<bool()>& stopped) {
  at::NoGradGuard no_grad;
  std::vector<std::vector<data::TokenId>> answers(prompts.size());
  if (prompts.empty() || max_tokens < 1 || stopped()) return answers;
  const PaddedPrompts padded = PadLeft(prompts);
  const auto cache = decoder.NewCache(padded.padding, padded.ids.size(1) + max_tokens);
  std::vector<bool> done(prompts.size(), false);
  at::Tensor next = NextTokens(decoder, decoder.ForwardCached(padded.ids, *cache));
  for (int64_t step = 1;; ++step) {
    const int64_t* tokens = next.const_data_ptr<int64_t>();
    for (size_t row = 0; row < prompts.size(); ++row) {
      if (done[row]) continue;
      answers[row].push_back(static_cast<data::TokenId>(tokens[row]));
      done[row] = IsEnd(decoder, tokens[row]);
    }
    const bool all_done = std::all_of(done.begin(), done.end(), [](bool d) { return d; });
    if (step == max_tokens || all_done || stopped()) return answers;
    next = NextTokens(decoder, decoder.ForwardCached(next.unsqueeze(1), *cache));
  }
}

}  // namespace dropbp::trainer
