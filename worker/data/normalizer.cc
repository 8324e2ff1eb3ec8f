#include "worker/data/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "worker/data/code_points.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

constexpr size_t kMaxGrowth = 64;

// Below U+0300 every character is in form C by itself and never joins the one before it; neither do
// those that the reference implementation does not know.
bool IsInert(char32_t code_point) { return (CodePointClasses()[code_point] & kInert) != 0; }
bool IsPlain(char32_t code_point) { return code_point < 0x300 || IsInert(code_point); }

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
  return stretch == stretches.end() ? offset : stretch->Original(offset);
}

void NormalizedText::MapToOriginal(absl::Span<size_t> offsets) const {
  auto stretch = stretches.begin();
  for (size_t& offset : offsets) {
    while (stretch != stretches.end() && stretch->end < offset) ++stretch;
    if (stretch == stretches.end()) return;
    offset = stretch->Original(offset);
  }
}

void NormalizedText::AppendUnchanged(std::string_view piece) {
  text += piece;
  const size_t original_begin = stretches.empty() ? 0 : stretches.back().original_end;
  stretches.push_back({text.size(), original_begin + piece.size(), false});
}

void NormalizedText::AppendChanged(std::string_view piece, size_t original_bytes) {
  text += piece;
  const size_t original_begin = stretches.empty() ? 0 : stretches.back().original_end;
  stretches.push_back({text.size(), original_begin + original_bytes, true});
}

absl::StatusOr<NormalizedText> NormalizeNfc(std::string_view text) {
  NormalizedText result;
  result.text.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    size_t end = SkipPlain(text, position);
    if (end > position) {
      result.AppendUnchanged(text.substr(position, end - position));
      position = end;
      continue;
    }
    // What follows an inert character is composed by itself.
    size_t next = position;
    if (IsInert(NextCodePoint(text, next))) {
      result.AppendUnchanged(text.substr(position, next - position));
      position = next;
      continue;
    }
    end = SkipStretch(text, position);
    const std::string_view original = text.substr(position, end - position);
    ASSIGN_OR_RETURN(const std::string composed, ComposeStretch(original));
    if (composed == original) {
      result.AppendUnchanged(original);
    } else {
      result.AppendChanged(composed, original.size());
    }
    position = end;
  }
  return result;
}

NormalizedText ReplaceAndPrepend(std::string_view text, std::string_view pattern,
                                 std::string_view replacement, std::string_view prefix) {
  NormalizedText result;
  result.text.reserve(text.size() + text.size() / 2 + prefix.size());
  if (!prefix.empty()) result.AppendChanged(prefix, 0);
  for (size_t position = 0; position < text.size();) {
    const size_t found = std::min(text.find(pattern, position), text.size());
    if (found > position) result.AppendUnchanged(text.substr(position, found - position));
    if (found < text.size()) result.AppendChanged(replacement, pattern.size());
    position = found + pattern.size();
  }
  return result;
}

absl::StatusOr<std::vector<NormalizedText>> Normalizer::Apply(std::string_view text) const {
  std::vector<NormalizedText> made;
  for (const Step& step : steps_) {
    const std::string_view before = made.empty() ? text : std::string_view(made.back().text);
    if (const auto* prepend = std::get_if<Prepend>(&step)) {
      NormalizedText after;
      if (!before.empty()) {
        after.AppendChanged(prepend->prefix, 0);
        after.AppendUnchanged(before);
      }
      made.push_back(std::move(after));
    } else if (const auto* replace = std::get_if<Replace>(&step)) {
      made.push_back(ReplaceAndPrepend(before, replace->pattern, replace->content, ""));
    } else {
      ASSIGN_OR_RETURN(NormalizedText after, NormalizeNfc(before));
      made.push_back(std::move(after));
    }
    // Steps that each double the text could go on to any size.
    if (made.back().text.size() > kMaxGrowth * (text.size() + 1)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the tokenizer's normalizer makes a text more than ", kMaxGrowth, " times as long"));
    }
  }
  return made;
}

}  // namespace dropbp::data
