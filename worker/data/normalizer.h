// Unicode normalisation form C, with the way back to the bytes of the text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp::data {

// A normalised text and where its bytes come from.
struct NormalizedText {
  std::string text;

  // Offset in the original of a border between bytes of `text`. Inside a stretch that normalisation
  // changed, a border belongs to the end of the stretch.
  size_t OriginalOffset(size_t offset) const;

  // Stretches in their order: [begin, end) of `text` stands for original bytes up to original_end.
  // A stretch of unchanged bytes has equal lengths on both sides.
  struct Stretch {
    size_t end;
    size_t original_end;
    bool changed;
  };
  std::vector<Stretch> stretches;
};

// NFC of valid UTF-8. INTERNAL if the library fails (memory).
absl::StatusOr<NormalizedText> NormalizeNfc(std::string_view text);

}  // namespace dropbp::data
