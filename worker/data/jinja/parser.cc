#include "worker/data/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "worker/data/jinja/expression_parser.h"
#include "worker/data/jinja/token_stream.h"

namespace dropbp::data::jinja {
namespace {

using Kind = Statement::Kind;
using Result = absl::StatusOr<std::unique_ptr<const Statement>>;
using Names = std::initializer_list<std::string_view>;

class TemplateParser {
 public:
  explicit TemplateParser(TokenStream tokens) : tokens_(std::move(tokens)) {}

  absl::StatusOr<Block> Run() {
    ASSIGN_OR_RETURN(Block block, Statements({}));
    if (!tokens_.Is(TokenKind::kEnd)) return tokens_.Unexpected("the end of the template");
    return block;
  }

 private:
  absl::StatusOr<Block> Statements(Names ends);
  Result TextOrOutput();
  Result Tag();
  Result If(std::unique_ptr<Statement> statement);
  Result For(std::unique_ptr<Statement> statement);
  Result Set(std::unique_ptr<Statement> statement);
  Result Generation(std::unique_ptr<Statement> statement);
  Result Jump(std::unique_ptr<Statement> statement, Kind kind);
  absl::Status EndBlock(std::string_view name);

  bool IsTag(Names names) const {
    return tokens_.Is(TokenKind::kBlockBegin) && tokens_.PeekSecond().kind == TokenKind::kName &&
           std::find(names.begin(), names.end(), tokens_.PeekSecond().text) != names.end();
  }

  TokenStream tokens_;
  int loops_ = 0;
};

// Statements up to one of the tags `ends`, which stays in the stream.
absl::StatusOr<Block> TemplateParser::Statements(Names ends) {
  RETURN_IF_ERROR(tokens_.Enter());
  absl::Cleanup leave = [this] { tokens_.Leave(); };
  Block block;
  while (!tokens_.Is(TokenKind::kEnd) && !IsTag(ends)) {
    const bool is_tag = tokens_.Is(TokenKind::kBlockBegin);
    ASSIGN_OR_RETURN(std::unique_ptr<const Statement> statement, is_tag ? Tag() : TextOrOutput());
    block.push_back(std::move(statement));
  }
  return block;
}

Result TemplateParser::TextOrOutput() {
  auto statement = std::make_unique<Statement>();
  const Token token = tokens_.Take();
  statement->line = token.line;
  if (token.kind == TokenKind::kText) {
    statement->kind = Kind::kText;
    statement->text = token.text;
    return statement;
  }
  statement->kind = Kind::kOutput;
  ASSIGN_OR_RETURN(statement->expression, ParseTuple(tokens_));
  if (!tokens_.Is(TokenKind::kOutputEnd)) return tokens_.Unexpected("}}");
  tokens_.Take();
  return statement;
}

Result TemplateParser::Tag() {
  auto statement = std::make_unique<Statement>();
  statement->line = tokens_.Take().line;
  ASSIGN_OR_RETURN(const std::string name, tokens_.ExpectAnyName());
  if (name == "if") return If(std::move(statement));
  if (name == "for") return For(std::move(statement));
  if (name == "set") return Set(std::move(statement));
  if (name == "generation") return Generation(std::move(statement));
  if (name == "break") return Jump(std::move(statement), Kind::kBreak);
  if (name == "continue") return Jump(std::move(statement), Kind::kContinue);
  return tokens_.Error(
      statement->line,
      absl::StrCat("the tag '", name,
                   "' is not supported here; supported are if, for, set, generation, "
                   "break and continue"));
}

// {% <name> %} at the end of a block.
absl::Status TemplateParser::EndBlock(std::string_view name) {
  if (!IsTag({name})) return tokens_.Unexpected(absl::StrCat("{% ", AbslView(name), " %}"));
  tokens_.Take();
  tokens_.Take();
  return tokens_.ExpectBlockEnd();
}

Result TemplateParser::If(std::unique_ptr<Statement> statement) {
  statement->kind = Kind::kIf;
  do {
    if (!statement->branches.empty()) {  // {% elif
      tokens_.Take();
      tokens_.Take();
    }
    ASSIGN_OR_RETURN(ExpressionPtr condition, ParseTuple(tokens_));
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    ASSIGN_OR_RETURN(Block body, Statements({"elif", "else", "endif"}));
    statement->branches.emplace_back(std::move(condition), std::move(body));
  } while (IsTag({"elif"}));
  if (IsTag({"else"})) {
    RETURN_IF_ERROR(EndBlock("else"));
    ASSIGN_OR_RETURN(statement->otherwise, Statements({"endif"}));
  }
  RETURN_IF_ERROR(EndBlock("endif"));
  return statement;
}

Result TemplateParser::For(std::unique_ptr<Statement> statement) {
  statement->kind = Kind::kFor;
  do {
    ASSIGN_OR_RETURN(std::string target, tokens_.ExpectAnyName());
    statement->targets.push_back(std::move(target));
  } while (tokens_.TakeOperator(","));
  RETURN_IF_ERROR(tokens_.ExpectName("in"));
  ASSIGN_OR_RETURN(statement->expression, ParseUnconditional(tokens_));
  if (tokens_.TakeName("if")) {
    ASSIGN_OR_RETURN(statement->filter, ParseExpression(tokens_));
  }
  if (tokens_.IsName("recursive"))
    return tokens_.Error(statement->line, "recursive loops are not supported");
  RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
  ++loops_;
  ASSIGN_OR_RETURN(statement->body, Statements({"else", "endfor"}));
  --loops_;
  if (IsTag({"else"})) {
    RETURN_IF_ERROR(EndBlock("else"));
    ASSIGN_OR_RETURN(statement->otherwise, Statements({"endfor"}));
  }
  RETURN_IF_ERROR(EndBlock("endfor"));
  return statement;
}

// {% set a = x %}, {% set a, b = x %}, {% set ns.a = x %}, {% set a %}...{% endset %}
Result TemplateParser::Set(std::unique_ptr<Statement> statement) {
  statement->kind = Kind::kSet;
  do {
    ASSIGN_OR_RETURN(std::string target, tokens_.ExpectAnyName());
    statement->targets.push_back(std::move(target));
  } while (tokens_.TakeOperator(","));
  if (statement->targets.size() == 1 && tokens_.TakeOperator(".")) {
    statement->text = statement->targets[0];
    ASSIGN_OR_RETURN(statement->targets[0], tokens_.ExpectAnyName());
  }
  if (tokens_.TakeOperator("=")) {
    ASSIGN_OR_RETURN(statement->expression, ParseTuple(tokens_));
    RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
    return statement;
  }
  if (statement->targets.size() > 1) return tokens_.Unexpected("'='");
  statement->kind = Kind::kSetBlock;
  RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
  ASSIGN_OR_RETURN(statement->body, Statements({"endset"}));
  RETURN_IF_ERROR(EndBlock("endset"));
  return statement;
}

Result TemplateParser::Generation(std::unique_ptr<Statement> statement) {
  statement->kind = Kind::kGeneration;
  RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
  // A jump cannot leave the block: its end is where the range of generated text ends.
  const int outer_loops = std::exchange(loops_, 0);
  ASSIGN_OR_RETURN(statement->body, Statements({"endgeneration"}));
  loops_ = outer_loops;
  RETURN_IF_ERROR(EndBlock("endgeneration"));
  return statement;
}

Result TemplateParser::Jump(std::unique_ptr<Statement> statement, Kind kind) {
  statement->kind = kind;
  if (loops_ == 0) return tokens_.Error(statement->line, "break or continue outside of a loop");
  RETURN_IF_ERROR(tokens_.ExpectBlockEnd());
  return statement;
}

}  // namespace

absl::StatusOr<Block> ParseTemplate(std::string_view source) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  return TemplateParser(TokenStream(std::move(tokens))).Run();
}

}  // namespace dropbp::data::jinja
