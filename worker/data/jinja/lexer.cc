#include "worker/data/jinja/lexer.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "worker/data/jinja/text_form.h"
#include "worker/data/utf8.h"

namespace dropbp::data::jinja {
namespace {

// Line ends become "\n"; one at the very end goes.
std::string NormalizeNewlines(std::string_view source) {
  std::string result;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result += source[i];
    } else if (i + 1 == source.size() || source[i + 1] != '\n') {
      result += '\n';
    }
  }
  if (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (position_ < source_.size()) RETURN_IF_ERROR(LexTextAndTag());
    Add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  absl::Status LexTextAndTag();
  absl::Status SkipComment();
  absl::Status LexTag(bool is_block);
  bool LexTagEnd(bool is_block);
  absl::Status LexExpressionToken();
  absl::Status LexString(char quote);
  absl::Status AppendEscape(std::string& value);
  void LexNumber();
  absl::Status LexOperator();

  std::string_view Rest() const { return std::string_view(source_).substr(position_); }
  bool StartsWith(std::string_view text) const { return Rest().substr(0, text.size()) == text; }

  void Advance(size_t count) {
    line_ += static_cast<int>(
        std::count(source_.begin() + position_, source_.begin() + position_ + count, '\n'));
    position_ += count;
  }
  void SkipSpace() { Advance(Rest().size() - StripLeft(Rest(), nullptr).size()); }
  void Add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  absl::Status Error(const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat("line ", line_, ": ", what));
  }
  // After the end of a block or comment: a first newline belongs to the tag (trim_blocks).
  void EndTag(char sign, size_t size) {
    Advance(size);
    if (sign == '-') SkipSpace();
    if (sign == '\0' && StartsWith("\n")) Advance(1);
    line_starting_ = source_[position_ - 1] == '\n';
  }

  const std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the tag before ended with a newline
  std::string brackets_;       // open ones inside a tag
  std::vector<Token> tokens_;
};

// The next of "{{", "{%", "{#" from `position` on; npos if there is none.
size_t FindTag(std::string_view text, size_t position) {
  while ((position = text.find('{', position)) != std::string_view::npos) {
    const char next = position + 1 < text.size() ? text[position + 1] : '\0';
    if (next == '{' || next == '%' || next == '#') return position;
    ++position;
  }
  return std::string_view::npos;
}

// Text before a block or comment without the white space that stands alone between line begin and
// tag (lstrip_blocks).
std::string_view StripLineBegin(std::string_view text, bool line_starting) {
  const size_t newline = text.rfind('\n');
  const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
  if (line_begin == 0 && !line_starting) return text;
  return StripLeft(text.substr(line_begin), nullptr).empty() ? text.substr(0, line_begin) : text;
}

absl::Status Lexer::LexTextAndTag() {
  const size_t tag = FindTag(source_, position_);
  const std::string_view all = source_;
  if (tag == std::string_view::npos) {
    Add(TokenKind::kText, std::string(Rest()));
    Advance(Rest().size());
    return absl::OkStatus();
  }
  const char kind = source_[tag + 1];
  const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
  std::string_view text = all.substr(position_, tag - position_);
  if (sign == '-') {
    text = StripRight(text, nullptr);
  } else if (sign != '+' && kind != '{') {
    text = StripLineBegin(text, line_starting_);
  }
  if (!text.empty()) Add(TokenKind::kText, std::string(text));
  Advance(tag - position_ + (sign == '-' || sign == '+' ? 3 : 2));
  line_starting_ = false;
  if (kind == '#') return SkipComment();
  return LexTag(kind == '%');
}

absl::Status Lexer::SkipComment() {
  const size_t end = source_.find("#}", position_);
  if (end == std::string::npos) return Error("a comment does not end with #}");
  const char before = end > position_ ? source_[end - 1] : '\0';
  const char sign = before == '-' || before == '+' ? before : '\0';
  EndTag(sign, end + 2 - position_);
  return absl::OkStatus();
}

absl::Status Lexer::LexTag(bool is_block) {
  Add(is_block ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, "");
  const int begin_line = line_;
  while (position_ < source_.size()) {
    SkipSpace();
    if (brackets_.empty() && LexTagEnd(is_block)) return absl::OkStatus();
    if (position_ < source_.size()) RETURN_IF_ERROR(LexExpressionToken());
  }
  line_ = begin_line;
  return Error(is_block ? "a tag does not end with %}" : "an output does not end with }}");
}

bool Lexer::LexTagEnd(bool is_block) {
  const std::string_view end = is_block ? "%}" : "}}";
  const char first = source_[position_];
  const bool has_sign = (first == '-' || (first == '+' && is_block)) && Rest().substr(1, 2) == end;
  if (!has_sign && !StartsWith(end)) return false;
  Add(is_block ? TokenKind::kBlockEnd : TokenKind::kOutputEnd, "");
  // An output keeps the newline after it; "+" stands for that.
  EndTag(has_sign ? first : is_block ? '\0' : '+', has_sign ? 3 : 2);
  return true;
}

absl::Status Lexer::LexExpressionToken() {
  const char c = source_[position_];
  if (IsDigit(c)) {
    LexNumber();
    return absl::OkStatus();
  }
  if (IsNameCharacter(c)) {
    size_t size = 0;
    while (size < Rest().size() && IsNameCharacter(Rest()[size])) ++size;
    Add(TokenKind::kName, std::string(Rest().substr(0, size)));
    Advance(size);
    return absl::OkStatus();
  }
  if (c == '\'' || c == '"') return LexString(c);
  return LexOperator();
}

void Lexer::LexNumber() {
  const std::string_view rest = Rest();
  const auto skip_digits = [&](size_t at) {
    while (at < rest.size() && IsDigit(rest[at])) ++at;
    return at;
  };
  size_t size = skip_digits(0);
  bool is_float = false;
  // "a.0.1" is two attributes, not a number with a fraction.
  const bool after_dot = position_ > 0 && source_[position_ - 1] == '.';
  if (!after_dot && size + 1 < rest.size() && rest[size] == '.' && IsDigit(rest[size + 1])) {
    size = skip_digits(size + 1);
    is_float = true;
  }
  if (!after_dot && size < rest.size() && (rest[size] == 'e' || rest[size] == 'E')) {
    size_t digits = size + 1;
    if (digits < rest.size() && (rest[digits] == '+' || rest[digits] == '-')) ++digits;
    if (skip_digits(digits) > digits) {
      size = skip_digits(digits);
      is_float = true;
    }
  }
  Add(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::string(rest.substr(0, size)));
  Advance(size);
}

absl::Status Lexer::LexString(char quote) {
  std::string value;
  const int begin_line = line_;
  Advance(1);
  while (position_ < source_.size() && source_[position_] != quote) {
    if (source_[position_] == '\\') {
      RETURN_IF_ERROR(AppendEscape(value));
    } else {
      value += source_[position_];
      Advance(1);
    }
  }
  if (position_ == source_.size()) {
    line_ = begin_line;
    return Error("a string does not end");
  }
  Advance(1);
  Add(TokenKind::kString, std::move(value));
  return absl::OkStatus();
}

// Python's escapes of string literals. An unknown one stays as it is.
absl::Status Lexer::AppendEscape(std::string& value) {
  constexpr std::string_view kLetters = "nrtabfv0\\'\"";
  constexpr std::string_view kValues("\n\r\t\a\b\f\v\0\\'\"", 11);
  const char kind = Rest().size() > 1 ? Rest()[1] : '\0';
  const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  if (digits > 0) {
    const std::string hex(Rest().substr(2, digits));
    uint32_t code_point;
    if (hex.size() < digits || !absl::SimpleHexAtoi(hex, &code_point) || code_point > 0x10ffff ||
        (code_point >= 0xd800 && code_point < 0xe000)) {
      return Error("a string has a broken \\x, \\u or \\U escape");
    }
    AppendUtf8(code_point, value);
    Advance(2 + digits);
    return absl::OkStatus();
  }
  const size_t known = kLetters.find(kind);
  if (kind == '\n') {
    // An escaped line end joins the lines.
  } else if (known != std::string_view::npos && kind != '\0') {
    value += kValues[known];
  } else {
    value += '\\';
    Advance(1);
    return absl::OkStatus();
  }
  Advance(2);
  return absl::OkStatus();
}

absl::Status Lexer::LexOperator() {
  constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                             "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                             ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
  for (const std::string_view name : kOperators) {
    if (!StartsWith(name)) continue;
    const char c = name[0];
    if (c == '(' || c == '[' || c == '{') brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty() || brackets_.back() != c)
        return Error(absl::StrCat("unexpected '", AbslView(name), "'"));
      brackets_.pop_back();
    }
    Add(TokenKind::kOperator, std::string(name));
    Advance(name.size());
    return absl::OkStatus();
  }
  return Error(absl::StrCat(
      "unexpected character '",
      AbslView(Rest().substr(0, CharacterBytes(static_cast<unsigned char>(Rest()[0])))), "'"));
}

}  // namespace

absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source) {
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace dropbp::data::jinja
