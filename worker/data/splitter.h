// Steps of a pre-tokenizer: each cuts pieces of text into smaller pieces.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp::data {

// Immutable; safe to share among threads.
class Splitter {
 public:
  virtual ~Splitter() = default;

  // Cuts valid UTF-8 as if nothing stood before or after it: appends the end of every piece,
  // counted from `offset`, the last being offset + text.size(). No piece is empty.
  virtual absl::Status Split(std::string_view text, size_t offset,
                             std::vector<size_t>& ends) const = 0;
};

// Digits: every numeric character by itself, or every run of them, apart from what stands between.
std::unique_ptr<const Splitter> DigitsSplitter(bool individual_digits);

// What becomes of the text between two matches of a regular expression.
enum class Between {
  kKept,     // a piece of its own: behaviour Isolated
  kRefused,  // INVALID_ARGUMENT: the behaviour would remove it, which no pattern in use lets happen
};

// The patterns of GPT-2, Llama-3, Qwen-2 and Tekken (Mistral) are recognised by equality and run as
// hand-written scanners, some ten times as fast; any other pattern runs in Oniguruma.
absl::StatusOr<std::unique_ptr<const Splitter>> PatternSplitter(std::string_view pattern,
                                                                Between between = Between::kKept);

// The same, always in Oniguruma.
absl::StatusOr<std::unique_ptr<const Splitter>> RegexSplitter(std::string_view pattern,
                                                              Between between = Between::kKept);

// Which piece an occurrence of a text belongs to.
enum class Delimiter { kIsolated, kMergedWithPrevious, kMergedWithNext };

// Split at every occurrence of a text (not empty). An occurrence beside another one stays apart
// from it.
std::unique_ptr<const Splitter> TextSplitter(std::string text, Delimiter delimiter);

// The patterns that have a scanner.
extern const std::string_view kGpt2Pattern;
extern const std::string_view kLlama3Pattern;
extern const std::string_view kQwen2Pattern;
extern const std::string_view kTekkenPattern;

}  // namespace dropbp::data
