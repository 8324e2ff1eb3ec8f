#include "worker/data/jinja/expression_parser.h"

#include <algorithm>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "worker/data/jinja/filters.h"
#include "worker/data/jinja/tests.h"

namespace dropbp::data::jinja {
namespace {

using Kind = Expression::Kind;
using Result = absl::StatusOr<ExpressionPtr>;

// Evaluation recurses as deep as expressions are nested, operators in a row included.
constexpr int kMaxDepth = 200;

struct OperatorName {
  std::string_view text;
  Operator value;
};
constexpr OperatorName kComparisons[] = {
    {"==", Operator::kEqual},     {"!=", Operator::kNotEqual}, {"<", Operator::kLess},
    {"<=", Operator::kLessEqual}, {">", Operator::kGreater},   {">=", Operator::kGreaterEqual}};
constexpr OperatorName kSums[] = {{"+", Operator::kAdd}, {"-", Operator::kSubtract}};
constexpr OperatorName kConcatenations[] = {{"~", Operator::kConcatenate}};
constexpr OperatorName kProducts[] = {{"*", Operator::kMultiply},
                                      {"/", Operator::kDivide},
                                      {"//", Operator::kFloorDivide},
                                      {"%", Operator::kModulo}};
constexpr OperatorName kPowers[] = {{"**", Operator::kPower}};

class Parser {
 public:
  explicit Parser(TokenStream& tokens) : tokens_(tokens) {}

  Result Conditional();
  Result Or();
  Result Tuple(std::string_view closing);

 private:
  using Rule = Result (Parser::*)();

  Result And();
  Result Not();
  Result Compare();
  Result Sum() { return LeftToRight(kSums, &Parser::Concatenation); }
  Result Concatenation() { return LeftToRight(kConcatenations, &Parser::Product); }
  Result Product() { return LeftToRight(kProducts, &Parser::Power); }
  Result Power() { return LeftToRight(kPowers, &Parser::Unary); }
  Result Unary() { return Signed(/*with_filters=*/true); }
  Result Signed(bool with_filters);
  Result Primary();
  Result Literal();
  Result ListLiteral();
  Result DictLiteral();
  Result Postfix(ExpressionPtr object);
  Result Attribute(ExpressionPtr object);
  Result Subscript(ExpressionPtr object);
  Result FiltersAndTests(ExpressionPtr input);
  Result Filter(ExpressionPtr input);
  Result Test(ExpressionPtr input);
  absl::Status Arguments(Expression& call);

  template <size_t N>
  Result LeftToRight(const OperatorName (&operators)[N], Rule operand);
  template <size_t N>
  std::optional<Operator> TakeOneOf(const OperatorName (&operators)[N]);

  std::unique_ptr<Expression> New(Kind kind) {
    auto expression = std::make_unique<Expression>();
    expression->kind = kind;
    expression->line = tokens_.Peek().line;
    return expression;
  }
  Result Done(std::unique_ptr<Expression> expression);
  Result Pair(Kind kind, ExpressionPtr left, ExpressionPtr right);

  TokenStream& tokens_;
};

Result Parser::Done(std::unique_ptr<Expression> expression) {
  for (const ExpressionPtr& child : expression->children) {
    if (child != nullptr) expression->depth = std::max(expression->depth, child->depth + 1);
  }
  for (const auto& argument : expression->named) {
    expression->depth = std::max(expression->depth, argument.second->depth + 1);
  }
  if (expression->depth > kMaxDepth) {
    return tokens_.Error(expression->line,
                         absl::StrCat("an expression of more than ", kMaxDepth, " levels"));
  }
  return ExpressionPtr(std::move(expression));
}

Result Parser::Pair(Kind kind, ExpressionPtr left, ExpressionPtr right) {
  auto expression = New(kind);
  expression->line = left->line;
  expression->children.push_back(std::move(left));
  expression->children.push_back(std::move(right));
  return Done(std::move(expression));
}

template <size_t N>
std::optional<Operator> Parser::TakeOneOf(const OperatorName (&operators)[N]) {
  for (const OperatorName& name : operators) {
    if (tokens_.TakeOperator(name.text)) return name.value;
  }
  return std::nullopt;
}

template <size_t N>
Result Parser::LeftToRight(const OperatorName (&operators)[N], Rule operand) {
  ASSIGN_OR_RETURN(ExpressionPtr left, (this->*operand)());
  while (const auto found = TakeOneOf(operators)) {
    ASSIGN_OR_RETURN(ExpressionPtr right, (this->*operand)());
    auto binary = New(Kind::kBinary);
    binary->line = left->line;
    binary->operators = {*found};
    binary->children.push_back(std::move(left));
    binary->children.push_back(std::move(right));
    ASSIGN_OR_RETURN(left, Done(std::move(binary)));
  }
  return left;
}

Result Parser::Conditional() {
  RETURN_IF_ERROR(tokens_.Enter());
  absl::Cleanup leave = [this] { tokens_.Leave(); };
  ASSIGN_OR_RETURN(ExpressionPtr value, Or());
  while (tokens_.IsName("if")) {
    auto conditional = New(Kind::kConditional);
    tokens_.Take();
    ASSIGN_OR_RETURN(ExpressionPtr condition, Or());
    ExpressionPtr otherwise;
    if (tokens_.TakeName("else")) {
      ASSIGN_OR_RETURN(otherwise, Conditional());
    }
    conditional->children.push_back(std::move(condition));
    conditional->children.push_back(std::move(value));
    conditional->children.push_back(std::move(otherwise));
    ASSIGN_OR_RETURN(value, Done(std::move(conditional)));
  }
  return value;
}

Result Parser::Or() {
  ASSIGN_OR_RETURN(ExpressionPtr left, And());
  while (tokens_.TakeName("or")) {
    ASSIGN_OR_RETURN(ExpressionPtr right, And());
    ASSIGN_OR_RETURN(left, Pair(Kind::kOr, std::move(left), std::move(right)));
  }
  return left;
}

Result Parser::And() {
  ASSIGN_OR_RETURN(ExpressionPtr left, Not());
  while (tokens_.TakeName("and")) {
    ASSIGN_OR_RETURN(ExpressionPtr right, Not());
    ASSIGN_OR_RETURN(left, Pair(Kind::kAnd, std::move(left), std::move(right)));
  }
  return left;
}

Result Parser::Not() {
  if (!tokens_.IsName("not")) return Compare();
  RETURN_IF_ERROR(tokens_.Enter());
  absl::Cleanup leave = [this] { tokens_.Leave(); };
  auto negation = New(Kind::kNot);
  tokens_.Take();
  ASSIGN_OR_RETURN(ExpressionPtr operand, Not());
  negation->children.push_back(std::move(operand));
  return Done(std::move(negation));
}

Result Parser::Compare() {
  ASSIGN_OR_RETURN(ExpressionPtr first, Sum());
  auto compare = New(Kind::kCompare);
  compare->line = first->line;
  compare->children.push_back(std::move(first));
  while (true) {
    std::optional<Operator> found = TakeOneOf(kComparisons);
    if (!found && tokens_.TakeName("in")) found = Operator::kIn;
    if (!found && tokens_.IsName("not") && tokens_.PeekSecond().kind == TokenKind::kName &&
        tokens_.PeekSecond().text == "in") {
      tokens_.Take();
      tokens_.Take();
      found = Operator::kNotIn;
    }
    if (!found) break;
    ASSIGN_OR_RETURN(ExpressionPtr operand, Sum());
    compare->operators.push_back(*found);
    compare->children.push_back(std::move(operand));
  }
  if (compare->operators.empty()) return std::move(compare->children[0]);
  return Done(std::move(compare));
}

Result Parser::Signed(bool with_filters) {
  ExpressionPtr value;
  if (tokens_.IsOperator("-") || tokens_.IsOperator("+")) {
    RETURN_IF_ERROR(tokens_.Enter());
    absl::Cleanup leave = [this] { tokens_.Leave(); };
    auto sign = New(tokens_.IsOperator("-") ? Kind::kNegative : Kind::kPositive);
    tokens_.Take();
    ASSIGN_OR_RETURN(ExpressionPtr operand, Signed(/*with_filters=*/false));
    sign->children.push_back(std::move(operand));
    ASSIGN_OR_RETURN(value, Done(std::move(sign)));
  } else {
    ASSIGN_OR_RETURN(value, Primary());
  }
  ASSIGN_OR_RETURN(value, Postfix(std::move(value)));
  if (!with_filters) return value;
  return FiltersAndTests(std::move(value));
}

Result Parser::Primary() {
  if (tokens_.TakeOperator("(")) {
    ASSIGN_OR_RETURN(ExpressionPtr inner, Tuple(")"));
    RETURN_IF_ERROR(tokens_.ExpectOperator(")"));
    return inner;
  }
  if (tokens_.IsOperator("[")) return ListLiteral();
  if (tokens_.IsOperator("{")) return DictLiteral();
  return Literal();
}

Result Parser::Literal() {
  auto expression = New(Kind::kConstant);
  const Token& token = tokens_.Peek();
  if (token.kind == TokenKind::kString) {
    // Strings that follow one another are one.
    std::string text;
    while (tokens_.Is(TokenKind::kString)) text += tokens_.Take().text;
    expression->constant = Value(std::move(text));
    return Done(std::move(expression));
  }
  if (token.kind == TokenKind::kInteger) {
    int64_t number;
    if (!absl::SimpleAtoi(token.text, &number))
      return tokens_.Error(token.line, "an integer above 2^63 - 1");
    expression->constant = Value(number);
  } else if (token.kind == TokenKind::kFloat) {
    double number;
    if (!absl::SimpleAtod(token.text, &number)) return tokens_.Unexpected("a number");
    expression->constant = Value(number);
  } else if (token.kind != TokenKind::kName) {
    return tokens_.Unexpected("an expression");
  } else if (token.text == "true" || token.text == "True") {
    expression->constant = Value(true);
  } else if (token.text == "false" || token.text == "False") {
    expression->constant = Value(false);
  } else if (token.text == "none" || token.text == "None") {
    expression->constant = Value(None{});
  } else {
    expression->kind = Kind::kName;
    expression->name = token.text;
  }
  tokens_.Take();
  return Done(std::move(expression));
}

Result Parser::Tuple(std::string_view closing) {
  auto tuple = New(Kind::kList);
  bool has_comma = false;
  while (!(tokens_.Is(TokenKind::kBlockEnd) || tokens_.Is(TokenKind::kOutputEnd) ||
           (!closing.empty() && tokens_.IsOperator(closing)))) {
    ASSIGN_OR_RETURN(ExpressionPtr item, Conditional());
    tuple->children.push_back(std::move(item));
    if (!tokens_.TakeOperator(",")) break;
    has_comma = true;
  }
  if (tuple->children.size() == 1 && !has_comma) return std::move(tuple->children[0]);
  if (tuple->children.empty() && closing.empty()) return tokens_.Unexpected("an expression");
  return Done(std::move(tuple));
}

Result Parser::ListLiteral() {
  auto list = New(Kind::kList);
  tokens_.Take();
  while (!tokens_.TakeOperator("]")) {
    if (!list->children.empty()) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.TakeOperator("]")) break;
    }
    ASSIGN_OR_RETURN(ExpressionPtr item, Conditional());
    list->children.push_back(std::move(item));
  }
  return Done(std::move(list));
}

Result Parser::DictLiteral() {
  auto dict = New(Kind::kDict);
  tokens_.Take();
  while (!tokens_.TakeOperator("}")) {
    if (!dict->children.empty()) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.TakeOperator("}")) break;
    }
    ASSIGN_OR_RETURN(ExpressionPtr key, Conditional());
    RETURN_IF_ERROR(tokens_.ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExpressionPtr value, Conditional());
    dict->children.push_back(std::move(key));
    dict->children.push_back(std::move(value));
  }
  return Done(std::move(dict));
}

Result Parser::Postfix(ExpressionPtr object) {
  while (true) {
    if (tokens_.IsOperator(".")) {
      ASSIGN_OR_RETURN(object, Attribute(std::move(object)));
    } else if (tokens_.IsOperator("[")) {
      ASSIGN_OR_RETURN(object, Subscript(std::move(object)));
    } else if (tokens_.IsOperator("(")) {
      auto call = New(Kind::kCall);
      call->children.push_back(std::move(object));
      RETURN_IF_ERROR(Arguments(*call));
      ASSIGN_OR_RETURN(object, Done(std::move(call)));
    } else {
      return object;
    }
  }
}

Result Parser::Attribute(ExpressionPtr object) {
  tokens_.Take();
  if (tokens_.Is(TokenKind::kInteger)) {
    auto item = New(Kind::kItem);
    ASSIGN_OR_RETURN(ExpressionPtr index, Literal());
    item->children.push_back(std::move(object));
    item->children.push_back(std::move(index));
    return Done(std::move(item));
  }
  auto attribute = New(Kind::kAttribute);
  ASSIGN_OR_RETURN(attribute->name, tokens_.ExpectAnyName());
  attribute->children.push_back(std::move(object));
  return Done(std::move(attribute));
}

// object[key], object[start:stop:step]
Result Parser::Subscript(ExpressionPtr object) {
  auto item = New(Kind::kItem);
  item->children.push_back(std::move(object));
  tokens_.Take();
  bool is_slice = false;
  ExpressionPtr parts[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!tokens_.IsOperator(":") && !tokens_.IsOperator("]")) {
      ASSIGN_OR_RETURN(parts[i], Conditional());
    }
    if (i == 2 || !tokens_.TakeOperator(":")) break;
    is_slice = true;
  }
  if (!is_slice && parts[0] == nullptr) return tokens_.Unexpected("an index");
  RETURN_IF_ERROR(tokens_.ExpectOperator("]"));
  item->kind = is_slice ? Kind::kSlice : Kind::kItem;
  for (size_t i = 0; i < (is_slice ? 3 : 1); ++i) item->children.push_back(std::move(parts[i]));
  return Done(std::move(item));
}

absl::Status Parser::Arguments(Expression& call) {
  tokens_.Take();
  while (!tokens_.TakeOperator(")")) {
    if (call.children.size() + call.named.size() > 1) {
      RETURN_IF_ERROR(tokens_.ExpectOperator(","));
      if (tokens_.TakeOperator(")")) break;
    }
    const bool is_named = tokens_.Is(TokenKind::kName) &&
                          tokens_.PeekSecond().kind == TokenKind::kOperator &&
                          tokens_.PeekSecond().text == "=";
    if (is_named) {
      std::string name = tokens_.Take().text;
      tokens_.Take();
      ASSIGN_OR_RETURN(ExpressionPtr value, Conditional());
      call.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call.named.empty()) return tokens_.Unexpected("a named argument");
      ASSIGN_OR_RETURN(ExpressionPtr value, Conditional());
      call.children.push_back(std::move(value));
    }
  }
  return absl::OkStatus();
}

Result Parser::FiltersAndTests(ExpressionPtr input) {
  while (true) {
    if (tokens_.TakeOperator("|")) {
      ASSIGN_OR_RETURN(input, Filter(std::move(input)));
    } else if (tokens_.TakeName("is")) {
      ASSIGN_OR_RETURN(input, Test(std::move(input)));
    } else {
      return input;
    }
  }
}

Result Parser::Filter(ExpressionPtr input) {
  auto filter = New(Kind::kFilter);
  ASSIGN_OR_RETURN(filter->name, tokens_.ExpectAnyName());
  if (!IsFilter(filter->name)) {
    return tokens_.Error(filter->line,
                         absl::StrCat("the filter '", filter->name, "' is not supported"));
  }
  filter->children.push_back(std::move(input));
  if (tokens_.IsOperator("(")) RETURN_IF_ERROR(Arguments(*filter));
  return Done(std::move(filter));
}

// The argument of a test may stand in brackets or not: "x is divisibleby 3".
bool BeginsTestArgument(const TokenStream& tokens) {
  if (tokens.Is(TokenKind::kName)) {
    return !tokens.IsName("else") && !tokens.IsName("or") && !tokens.IsName("and") &&
           !tokens.IsName("if") && !tokens.IsName("is") && !tokens.IsName("not") &&
           !tokens.IsName("in");
  }
  return tokens.Is(TokenKind::kString) || tokens.Is(TokenKind::kInteger) ||
         tokens.Is(TokenKind::kFloat) || tokens.IsOperator("[") || tokens.IsOperator("{");
}

Result Parser::Test(ExpressionPtr input) {
  auto test = New(Kind::kTest);
  const bool negated = tokens_.TakeName("not");
  ASSIGN_OR_RETURN(test->name, tokens_.ExpectAnyName());
  if (!IsTest(test->name)) {
    return tokens_.Error(test->line, absl::StrCat("the test '", test->name, "' is not supported"));
  }
  test->children.push_back(std::move(input));
  if (tokens_.IsOperator("(")) {
    RETURN_IF_ERROR(Arguments(*test));
  } else if (BeginsTestArgument(tokens_)) {
    ASSIGN_OR_RETURN(ExpressionPtr argument, Primary());
    ASSIGN_OR_RETURN(argument, Postfix(std::move(argument)));
    test->children.push_back(std::move(argument));
  }
  ASSIGN_OR_RETURN(ExpressionPtr result, Done(std::move(test)));
  if (!negated) return result;
  auto negation = New(Kind::kNot);
  negation->line = result->line;
  negation->children.push_back(std::move(result));
  return Done(std::move(negation));
}

}  // namespace

absl::StatusOr<ExpressionPtr> ParseExpression(TokenStream& tokens) {
  return Parser(tokens).Conditional();
}

absl::StatusOr<ExpressionPtr> ParseUnconditional(TokenStream& tokens) {
  return Parser(tokens).Or();
}

absl::StatusOr<ExpressionPtr> ParseTuple(TokenStream& tokens) { return Parser(tokens).Tuple(""); }

}  // namespace dropbp::data::jinja
