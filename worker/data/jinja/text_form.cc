#include "worker/data/jinja/text_form.h"

#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/data/code_points.h"
#include "worker/data/utf8.h"

namespace dropbp::data::jinja {
namespace {

// Python's repr of a float: the shortest digits that read back the same, in exponent form below
// 1e-4 and from 1e16 on.
std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto scientific =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string text(buffer, scientific.ptr);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string plain(buffer, fixed.ptr);
  return plain.find('.') == std::string::npos ? plain + ".0" : plain;
}

// A control character by its escape, common to Python and JSON where they have one; empty if it
// needs none.
std::string ShortEscape(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
      return "\\\\";
    default:
      return "";
  }
}

std::string Repr(const std::string& text) {
  const bool double_quotes =
      text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string result(1, quote);
  for (char c : text) {
    if (std::string escape = ShortEscape(c); !escape.empty()) {
      result += escape;
    } else if (c == quote) {
      absl::StrAppend(&result, "\\", std::string(1, c));
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&result, "\\x%02x", c);
    } else {
      result += c;
    }
  }
  return result + quote;
}

std::string JsonString(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (std::string escape = ShortEscape(c); !escape.empty()) {
      result += escape;
    } else if (c == '"') {
      result += "\\\"";
    } else if (c == '\b') {
      result += "\\b";
    } else if (c == '\f') {
      result += "\\f";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&result, "\\u%04x", c);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string ReprOf(const Value& value) {
  return value.IsText() ? Repr(value.text()) : ToText(value);
}

// Writes JSON as json.dumps does: ", " and ": " between things, or with an indent ",\n" and a line
// for each element.
class JsonWriter {
 public:
  explicit JsonWriter(int indent) : indent_(indent) {}

  absl::Status Write(const Value& value, int level) {
    if (value.IsList()) return WriteList(value, level);
    if (value.IsDict()) return WriteDict(value, level);
    if (value.IsText()) {
      text_ += JsonString(value.text());
    } else if (value.IsNone()) {
      text_ += "null";
    } else if (value.Is<bool>()) {
      text_ += value.Truth() ? "true" : "false";
    } else if (value.IsNumber()) {
      text_ += ToText(value);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("tojson: a value of kind ", value.KindName(), " has no JSON form"));
    }
    return absl::OkStatus();
  }

  std::string Take() { return std::move(text_); }

 private:
  absl::Status WriteList(const Value& value, int level) {
    text_ += '[';
    bool first = true;
    for (const Value& item : value.items()) {
      Separate(first, level + 1);
      RETURN_IF_ERROR(Write(item, level + 1));
    }
    Close(first, level, ']');
    return absl::OkStatus();
  }

  absl::Status WriteDict(const Value& value, int level) {
    text_ += '{';
    bool first = true;
    for (const auto& [key, item] : value.entries()) {
      Separate(first, level + 1);
      absl::StrAppend(&text_, JsonString(key), ": ");
      RETURN_IF_ERROR(Write(item, level + 1));
    }
    Close(first, level, '}');
    return absl::OkStatus();
  }

  void Separate(bool& first, int level) {
    if (!first) text_ += indent_ < 0 ? ", " : ",";
    first = false;
    NewLine(level);
  }

  void Close(bool empty, int level, char bracket) {
    if (!empty) NewLine(level);
    text_ += bracket;
  }

  void NewLine(int level) {
    if (indent_ < 0) return;
    text_ += '\n';
    text_.append(static_cast<size_t>(indent_) * static_cast<size_t>(level), ' ');
  }

  const int indent_;
  std::string text_;
};

bool IsAmong(char32_t code_point, const std::string* characters) {
  if (characters == nullptr) return IsPythonSpace(code_point);
  for (size_t position = 0; position < characters->size();) {
    if (NextCodePoint(*characters, position) == code_point) return true;
  }
  return false;
}

}  // namespace

std::string ToText(const Value& value) {
  if (value.IsText()) return value.text();
  if (value.IsUndefined()) return "";
  if (value.IsNone()) return "None";
  if (value.Is<bool>()) return value.Truth() ? "True" : "False";
  if (value.IsWhole()) return absl::StrCat(value.whole());
  if (value.IsNumber()) return FloatText(value.number());
  std::string result;
  if (value.IsList()) {
    for (const Value& item : value.items())
      absl::StrAppend(&result, result.empty() ? "" : ", ", ReprOf(item));
    return absl::StrCat("[", result, "]");
  }
  if (value.IsDict()) {
    for (const auto& [key, item] : value.entries()) {
      absl::StrAppend(&result, result.empty() ? "" : ", ", Repr(key), ": ", ReprOf(item));
    }
    return absl::StrCat("{", result, "}");
  }
  return absl::StrCat("<", value.KindName(), ">");
}

absl::StatusOr<std::string> ToJson(const Value& value, int indent) {
  JsonWriter writer(indent);
  RETURN_IF_ERROR(writer.Write(value, 0));
  return writer.Take();
}

int64_t CodePointCount(std::string_view text) {
  int64_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

size_t BytesOfCodePoints(std::string_view text, int64_t count) {
  size_t position = 0;
  while (count-- > 0 && position < text.size()) NextCodePoint(text, position);
  return position;
}

bool IsPythonSpace(char32_t code_point) {
  return (code_point >= 0x1c && code_point <= 0x1f) ||
         (CodePointClasses()[code_point] & kSpace) != 0;
}

std::string_view StripLeft(std::string_view text, const std::string* characters) {
  while (!text.empty()) {
    size_t next = 0;
    if (!IsAmong(NextCodePoint(text, next), characters)) break;
    text.remove_prefix(next);
  }
  return text;
}

std::string_view StripRight(std::string_view text, const std::string* characters) {
  while (!text.empty()) {
    size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
    size_t next = begin;
    if (!IsAmong(NextCodePoint(text, next), characters)) break;
    text.remove_suffix(text.size() - begin);
  }
  return text;
}

}  // namespace dropbp::data::jinja
