// The pre-tokenizer: cuts normalised text into the words that the model encodes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/data/normalizer.h"
#include "worker/data/splitter.h"

namespace dropbp::data {

// Spaces as SentencePiece writes them.
struct Metaspace {
  // Which texts get a replacement in front unless they begin with one.
  enum class Prepend {
    kAlways,  // every text between added tokens
    kFirst,   // the one at the very beginning
    kNever,
  };

  std::string replacement;  // of every space
  Prepend prepend = Prepend::kAlways;

  // `first`: whether the text stands at the very beginning.
  NormalizedText Apply(std::string_view text, bool first) const;
};

// Immutable once filled; safe to share among threads.
struct PreTokenizer {
  std::optional<Metaspace> metaspace;  // comes first
  std::vector<std::unique_ptr<const Splitter>> splitters;
  bool byte_level = false;  // words are made of bytes, not of characters

  // Ends of the words of a text, by all splitters in their order. The last one is text.size().
  absl::StatusOr<std::vector<size_t>> WordEnds(std::string_view text) const;
};

}  // namespace dropbp::data
