#include "worker/data/word_scanner.h"

#include "worker/data/code_points.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

constexpr uint8_t kAnyClass = kLetter | kNumber | kSpace;

// The character at a position: its classes, and where the next one begins.
struct Character {
  char32_t code_point = 0;
  uint8_t classes = 0;
  size_t end = 0;

  bool Is(uint8_t any_of) const { return (classes & any_of) != 0; }
  bool IsOther() const { return (classes & kAnyClass) == 0; }
  bool IsNewline() const { return code_point == '\r' || code_point == '\n'; }
};

class Text {
 public:
  Text(const uint8_t* classes, std::string_view text) : classes_(classes), text_(text) {}

  size_t size() const { return text_.size(); }

  Character At(size_t position) const {
    Character character;
    character.end = position;
    character.code_point = NextCodePoint(text_, character.end);
    character.classes = classes_[character.code_point];
    return character;
  }

  bool IsLetterAt(size_t position) const { return position < size() && At(position).Is(kLetter); }
  bool IsOtherAt(size_t position) const { return position < size() && At(position).IsOther(); }

  // End of the run of characters from `position` on for which `belongs` holds.
  template <typename Belongs>
  size_t SkipWhile(size_t position, Belongs belongs) const {
    while (position < size()) {
      const Character character = At(position);
      if (!belongs(character)) break;
      position = character.end;
    }
    return position;
  }

  size_t SkipClass(size_t position, uint8_t any_of) const {
    return SkipWhile(position, [any_of](const Character& c) { return c.Is(any_of); });
  }
  size_t SkipOther(size_t position) const {
    return SkipWhile(position, [](const Character& c) { return c.IsOther(); });
  }

  // 's 't 're 've 'm 'll 'd at an apostrophe; returns its end, or `begin` if none is there. In any
  // case also with U+017F, whose case folding is s.
  size_t Contraction(size_t begin, bool any_case) const;

  // \s+(?!\S)|\s+ : the run of white space, without its last character where text follows a longer
  // run.
  size_t Whitespace(size_t begin) const;

 private:
  const uint8_t* classes_;
  const std::string_view text_;
};

size_t Text::Contraction(size_t begin, bool any_case) const {
  const auto letter_at = [&](size_t position) -> char {
    if (position >= size()) return '\0';
    const char c = text_[position];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  const char first = letter_at(begin + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return begin + 2;
  const char second = letter_at(begin + 2);
  if ((first == 'r' || first == 'v') && second == 'e') return begin + 3;
  if (first == 'l' && second == 'l') return begin + 3;
  if (any_case && text_.substr(begin + 1, 2) == "\u017F") return begin + 3;
  return begin;
}

size_t Text::Whitespace(size_t begin) const {
  size_t last = begin;
  size_t end = begin;
  while (end < size()) {
    const Character character = At(end);
    if (!character.Is(kSpace)) break;
    last = end;
    end = character.end;
  }
  return end == size() || last == begin ? end : last;
}

// Where the last newline of the run of white space at `begin` ends; `begin` if there is none.
size_t EndOfLastNewline(const Text& text, size_t begin) {
  size_t result = begin;
  text.SkipWhile(begin, [&](const Character& c) {
    if (c.IsNewline()) result = c.end;
    return c.Is(kSpace);
  });
  return result;
}

size_t SkipNewlines(const Text& text, size_t position) {
  return text.SkipWhile(position, [](const Character& c) { return c.IsNewline(); });
}

size_t SkipNumbers(const Text& text, size_t position, int at_most) {
  for (int i = 0; i < at_most && position < text.size() && text.At(position).Is(kNumber); ++i) {
    position = text.At(position).end;
  }
  return position;
}

// The alternatives of Llama-3's and Qwen-2's pattern in their order.
size_t ScanWord(const Text& text, size_t begin, int max_numbers) {
  const Character first = text.At(begin);
  if (first.Is(kLetter)) return text.SkipClass(first.end, kLetter);
  if (first.code_point == '\'') {
    const size_t end = text.Contraction(begin, /*any_case=*/true);
    if (end > begin) return end;
  }
  if (first.Is(kNumber)) return SkipNumbers(text, begin, max_numbers);
  if (!first.IsNewline() && text.IsLetterAt(first.end)) return text.SkipClass(first.end, kLetter);
  if (first.IsOther() || (first.code_point == ' ' && text.IsOtherAt(first.end))) {
    return SkipNewlines(text, text.SkipOther(first.end));
  }
  const size_t newline_end = EndOfLastNewline(text, begin);
  return newline_end > begin ? newline_end : text.Whitespace(begin);
}

// End of [Upper]*[Lower]+ at `begin`; `begin` if it does not match. What is of no case is both: a
// run of upper case that no lower case follows is given back up to the last such character.
size_t WordInLowerCase(const Text& text, size_t begin) {
  size_t last_of_no_case = begin;
  const size_t end = text.SkipWhile(begin, [&](const Character& c) {
    if (c.Is(kUpper) && c.Is(kLower)) last_of_no_case = c.end;
    return c.Is(kUpper);
  });
  const size_t lower_end = text.SkipClass(end, kLower);
  return lower_end > end ? lower_end : last_of_no_case;
}

// End of [Upper]+[Lower]* at `begin`; `begin` if it does not match.
size_t WordInUpperCase(const Text& text, size_t begin) {
  const size_t end = text.SkipClass(begin, kUpper);
  return end == begin ? begin : text.SkipClass(end, kLower);
}

// End of a word in Tekken's sense, with the one other character that may stand before it; `begin`
// if there is none.
size_t CasedWord(const Text& text, size_t begin, const Character& first) {
  const bool may_precede = !first.IsNewline() && !first.Is(kLetter | kNumber);
  for (const auto& scan : {WordInLowerCase, WordInUpperCase}) {
    if (may_precede) {
      const size_t end = scan(text, first.end);
      if (end > first.end) return end;
    }
    const size_t end = scan(text, begin);
    if (end > begin) return end;
  }
  return begin;
}

}  // namespace

size_t ScanGpt2Word(const uint8_t* classes, std::string_view view, size_t begin) {
  const Text text(classes, view);
  Character first = text.At(begin);
  if (first.code_point == '\'') {
    const size_t end = text.Contraction(begin, /*any_case=*/false);
    if (end > begin) return end;
  }
  if (first.code_point == ' ' && first.end < text.size()) {
    const Character second = text.At(first.end);
    if (!second.Is(kSpace)) first = second;
  }
  if (first.Is(kLetter)) return text.SkipClass(first.end, kLetter);
  if (first.Is(kNumber)) return text.SkipClass(first.end, kNumber);
  if (first.IsOther()) return text.SkipOther(first.end);
  return text.Whitespace(begin);
}

size_t ScanLlama3Word(const uint8_t* classes, std::string_view text, size_t begin) {
  return ScanWord(Text(classes, text), begin, 3);
}

size_t ScanQwen2Word(const uint8_t* classes, std::string_view text, size_t begin) {
  return ScanWord(Text(classes, text), begin, 1);
}

size_t ScanTekkenWord(const uint8_t* classes, std::string_view view, size_t begin) {
  const Text text(classes, view);
  const Character first = text.At(begin);
  if (const size_t end = CasedWord(text, begin, first); end > begin) return end;
  if (first.Is(kNumber)) return first.end;
  if (first.IsOther() || (first.code_point == ' ' && text.IsOtherAt(first.end))) {
    return text.SkipWhile(text.SkipOther(first.end),
                          [](const Character& c) { return c.IsNewline() || c.code_point == '/'; });
  }
  const size_t newline_end = EndOfLastNewline(text, begin);
  return newline_end > begin ? newline_end : text.Whitespace(begin);
}

}  // namespace dropbp::data
