// A template's text cut into tokens, with Jinja's rules for white space: trim_blocks, lstrip_blocks
// and the signs - and + at the borders of tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp::data::jinja {

enum class TokenKind {
  kText,
  kOutputBegin,
  kOutputEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  std::string text;  // the text itself, a string's value, a name, a number as written, an operator
  int line;          // from 1
};

// All tokens, a kEnd last. INVALID_ARGUMENT with "line N: ..." for a tag or string that does not
// end, or a character that no expression has.
absl::StatusOr<std::vector<Token>> Tokenize(std::string_view source);

}  // namespace dropbp::data::jinja
