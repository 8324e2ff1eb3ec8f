// Runs a tokenizer whose parts came from a hostile file.
#pragma once

#include <cstdlib>

#include "worker/data/tokenizer_json.h"

namespace dropbp::data {

// Whatever the parts are, ends of tokens ascend to no more than the text's size, and every id has a
// text.
inline void EncodeAndDecode(absl::StatusOr<TokenizerParts> parts) {
  if (!parts.ok()) return;
  constexpr std::string_view kText =
      " Hello  world's <s>[x]</s>\n\n\t\u00e9e\u0301 \u4f60\u597d 12345 "
      "\U0001F600\u2581a\u09fe\u093c ab";
  const auto tokenizer = MakeTokenizer(*std::move(parts));
  const auto encoding = tokenizer->EncodeWithOffsets(kText);
  if (!encoding.ok()) return;
  size_t previous = 0;
  for (const size_t end : encoding->ends) {
    if (end < previous || end > kText.size()) std::abort();
    previous = end;
  }
  for (const TokenId id : encoding->ids) {
    if (id < 0 || id >= tokenizer->vocab_size()) std::abort();
  }
  tokenizer->Decode(encoding->ids, /*skip_special=*/true);
}

}  // namespace dropbp::data
