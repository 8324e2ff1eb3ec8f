#include "worker/data/jinja/token_stream.h"

#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace dropbp::data::jinja {
namespace {

std::string Describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kText:
      return "text";
    case TokenKind::kOutputBegin:
      return "{{";
    case TokenKind::kOutputEnd:
      return "}}";
    case TokenKind::kBlockBegin:
      return "{%";
    case TokenKind::kBlockEnd:
      return "%}";
    case TokenKind::kString:
      return "a string";
    default:
      return absl::StrCat("'", token.text, "'");
  }
}

}  // namespace

Token TokenStream::Take() {
  const Token& token = Peek();
  if (token.kind != TokenKind::kEnd) ++next_;
  return token;
}

bool TokenStream::TakeOperator(std::string_view text) {
  const bool found = IsOperator(text);
  if (found) ++next_;
  return found;
}

bool TokenStream::TakeName(std::string_view text) {
  const bool found = IsName(text);
  if (found) ++next_;
  return found;
}

absl::Status TokenStream::ExpectOperator(std::string_view text) {
  if (TakeOperator(text)) return absl::OkStatus();
  return Unexpected(absl::StrCat("'", AbslView(text), "'"));
}

absl::Status TokenStream::ExpectName(std::string_view text) {
  if (TakeName(text)) return absl::OkStatus();
  return Unexpected(absl::StrCat("'", AbslView(text), "'"));
}

absl::StatusOr<std::string> TokenStream::ExpectAnyName() {
  if (!Is(TokenKind::kName)) return Unexpected("a name");
  return Take().text;
}

absl::Status TokenStream::ExpectBlockEnd() {
  if (!Is(TokenKind::kBlockEnd)) return Unexpected("%}");
  Take();
  return absl::OkStatus();
}

absl::Status TokenStream::Unexpected(std::string_view expected) const {
  return Error(Peek().line,
               absl::StrCat("expected ", AbslView(expected), ", found ", Describe(Peek())));
}

absl::Status TokenStream::Error(int line, const std::string& what) const {
  return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
}

absl::Status TokenStream::Enter() {
  if (++nesting_ <= kMaxNesting) return absl::OkStatus();
  return Error(Peek().line, absl::StrCat("nested deeper than ", kMaxNesting, " levels"));
}

}  // namespace dropbp::data::jinja
