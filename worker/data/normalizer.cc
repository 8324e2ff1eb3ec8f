#include "worker/data/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

// Below U+0300 every character is in form C by itself and never joins the one before it.
bool IsPlain(char32_t code_point) { return code_point < 0x300; }

// End of the characters from `position` on that are plain and followed by plain ones (or the end),
// so that normalisation can neither change nor move them.
size_t SkipPlain(std::string_view text, size_t position) {
  size_t previous = position;
  while (position < text.size()) {
    size_t next = position;
    if (!IsPlain(NextCodePoint(text, next))) return previous;
    previous = position;
    position = next;
  }
  return position;
}

// End of a stretch that begins at `position` with any character and goes on with characters that
// are not plain.
size_t SkipStretch(std::string_view text, size_t position) {
  NextCodePoint(text, position);
  while (position < text.size()) {
    size_t next = position;
    if (IsPlain(NextCodePoint(text, next))) break;
    position = next;
  }
  return position;
}

absl::StatusOr<std::string> ComposeStretch(std::string_view text) {
  utf8proc_uint8_t* composed = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (size < 0) return absl::InternalError(absl::StrCat("utf8proc: ", utf8proc_errmsg(size)));
  std::string result(reinterpret_cast<char*>(composed), static_cast<size_t>(size));
  std::free(composed);
  return result;
}

}  // namespace

size_t NormalizedText::OriginalOffset(size_t offset) const {
  const auto stretch =
      std::lower_bound(stretches.begin(), stretches.end(), offset,
                       [](const Stretch& s, size_t value) { return s.end < value; });
  if (stretch == stretches.end()) return offset;
  return stretch->changed ? stretch->original_end : stretch->original_end - (stretch->end - offset);
}

absl::StatusOr<NormalizedText> NormalizeNfc(std::string_view text) {
  NormalizedText result;
  for (size_t position = 0; position < text.size();) {
    size_t end = SkipPlain(text, position);
    if (end > position) {
      result.text.append(text, position, end - position);
      result.stretches.push_back({result.text.size(), end, false});
      position = end;
      continue;
    }
    end = SkipStretch(text, position);
    const std::string_view original = text.substr(position, end - position);
    ASSIGN_OR_RETURN(const std::string composed, ComposeStretch(original));
    result.text += composed;
    result.stretches.push_back({result.text.size(), end, composed != original});
    position = end;
  }
  return result;
}

}  // namespace dropbp::data
