// Normalisation of text before it is cut into words, with the way back to the bytes of the text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"

namespace dropbp::data {

// A normalised text and where its bytes come from.
struct NormalizedText {
  std::string text;

  // Offset in the original of a border between bytes of `text`. Inside a stretch that normalisation
  // changed, a border belongs to the end of the stretch.
  size_t OriginalOffset(size_t offset) const;
  // The same in place for many offsets, which must ascend.
  void MapToOriginal(absl::Span<size_t> offsets) const;

  // Stretches in their order: [begin, end) of `text` stands for original bytes up to original_end.
  // A stretch of unchanged bytes has equal lengths on both sides.
  struct Stretch {
    size_t end;
    size_t original_end;
    bool changed;

    size_t Original(size_t offset) const {
      return changed ? original_end : original_end - (end - offset);
    }
  };
  std::vector<Stretch> stretches;

  void AppendUnchanged(std::string_view piece);
  // `original_bytes` of the original became `piece`.
  void AppendChanged(std::string_view piece, size_t original_bytes);
};

// NFC of valid UTF-8. INTERNAL if the library fails (memory).
absl::StatusOr<NormalizedText> NormalizeNfc(std::string_view text);

// The text with `replacement` for every occurrence of `pattern` (not empty), from the left, and
// behind `prefix`.
NormalizedText ReplaceAndPrepend(std::string_view text, std::string_view pattern,
                                 std::string_view replacement, std::string_view prefix);

// A chain of steps, each working on what the one before made. Immutable; safe to share among
// threads.
class Normalizer {
 public:
  struct Nfc {};
  struct Prepend {  // in front of every text that is not empty
    std::string prefix;
  };
  struct Replace {
    std::string pattern;  // not empty
    std::string content;
  };
  using Step = std::variant<Nfc, Prepend, Replace>;

  template <typename T>
  void Add(T step) {
    steps_.emplace_back(std::in_place_type<T>, std::move(step));
  }
  bool empty() const { return steps_.empty(); }

  // What each step makes; the last one has the result. There is at least one step.
  absl::StatusOr<std::vector<NormalizedText>> Apply(std::string_view text) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace dropbp::data
