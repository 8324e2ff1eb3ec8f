// The tokens of a template as its parsers read them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/lexer.h"

namespace dropbp::data::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  // The token that comes next; the last one is a kEnd and stays.
  const Token& Peek() const { return tokens_[next_]; }
  const Token& PeekSecond() const {
    return tokens_[next_ + 1 < tokens_.size() ? next_ + 1 : next_];
  }
  Token Take();
  bool Is(TokenKind kind) const { return Peek().kind == kind; }
  bool IsOperator(std::string_view text) const {
    return Is(TokenKind::kOperator) && Peek().text == text;
  }
  bool IsName(std::string_view text) const { return Is(TokenKind::kName) && Peek().text == text; }
  // Takes the token if it is this one.
  bool TakeOperator(std::string_view text);
  bool TakeName(std::string_view text);

  // Takes a token that must be there.
  absl::Status ExpectOperator(std::string_view text);
  absl::Status ExpectName(std::string_view text);
  absl::StatusOr<std::string> ExpectAnyName();
  absl::Status ExpectBlockEnd();

  // "line N: expected <what>, found <token>"
  absl::Status Unexpected(std::string_view expected) const;
  absl::Status Error(int line, const std::string& what) const;

  // Levels of nesting of whoever reads; more than kMaxNesting are an error.
  static constexpr int kMaxNesting = 64;
  absl::Status Enter();
  void Leave() { --nesting_; }

 private:
  const std::vector<Token> tokens_;
  size_t next_ = 0;
  int nesting_ = 0;
};

}  // namespace dropbp::data::jinja
