#include "worker/data/jinja/expression_evaluator.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "worker/data/jinja/filters.h"
#include "worker/data/jinja/methods.h"
#include "worker/data/jinja/operators.h"
#include "worker/data/jinja/tests.h"
#include "worker/data/jinja/text_form.h"

namespace dropbp::data::jinja {
namespace {

using Kind = Expression::Kind;

// Keys of a dict are looked up one after the other.
constexpr size_t kMaxEntries = 256;

struct NamedFunction {
  const char* name;
  Function function;
};
constexpr NamedFunction kFunctions[] = {{"namespace", Function::kNamespace},
                                        {"dict", Function::kDict},
                                        {"range", Function::kRange},
                                        {"raise_exception", Function::kRaiseException},
                                        {"strftime_now", Function::kStrftimeNow}};

}  // namespace

absl::StatusOr<Value> ExpressionEvaluator::Run(const Expression& expression) {
  Result value = Evaluate(expression);
  if (!value.ok()) return Annotate(value.status(), absl::StrCat("line ", expression.line));
  return value;
}

absl::StatusOr<Value> ExpressionEvaluator::Evaluate(const Expression& expression) {
  RETURN_IF_ERROR(budget_.Step());
  ASSIGN_OR_RETURN(Value value, EvaluateKind(expression));
  if (value.depth() > Value::kMaxDepth) {
    return absl::InvalidArgumentError(absl::StrCat("lists and dicts nested deeper than ",
                                                   Value::kMaxDepth,
                                                   " levels, or a namespace inside one"));
  }
  if (value.weight() > Value::kMaxWeight) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a list or dict of more than ", Value::kMaxWeight, " elements"));
  }
  return value;
}

absl::StatusOr<Value> ExpressionEvaluator::EvaluateKind(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.constant;
    case Kind::kName:
      return Name(expression.name);
    case Kind::kSlice:
      return Slice(expression);
    case Kind::kCall:
      return Call(expression);
    case Kind::kFilter:
      return Filter(expression);
    case Kind::kTest:
      return Test(expression);
    case Kind::kCompare:
      return Compare(expression);
    case Kind::kConditional:
      return Conditional(expression);
    case Kind::kList:
      return List(expression);
    case Kind::kDict:
      return Dict(expression);
    case Kind::kItem:
    case Kind::kBinary:
      return Binary(expression);
    default:
      break;
  }
  ASSIGN_OR_RETURN(Value first, Evaluate(*expression.children[0]));
  switch (expression.kind) {
    case Kind::kAttribute:
      return GetAttribute(first, expression.name);
    case Kind::kNot:
      return Value(!first.Truth());
    case Kind::kNegative:
      return Negate(first);
    case Kind::kAnd:
      return first.Truth() ? Evaluate(*expression.children[1]) : Result(first);
    case Kind::kOr:
      return first.Truth() ? Result(first) : Evaluate(*expression.children[1]);
    default:  // kPositive
      if (!first.IsNumber())
        return absl::InvalidArgumentError(absl::StrCat("'+' does not go with ", first.KindName()));
      return first;
  }
}

absl::StatusOr<Value> ExpressionEvaluator::Name(const std::string& name) {
  RETURN_IF_ERROR(budget_.Step(static_cast<int64_t>(scopes_.size() / 64)));
  if (const Value* value = scopes_.Find(name)) return *value;
  for (const NamedFunction& function : kFunctions) {
    if (name == function.name) return Value(function.function);
  }
  return Value(Undefined{absl::StrCat("'", name, "' is undefined")});
}

absl::StatusOr<Value> ExpressionEvaluator::Slice(const Expression& expression) {
  Value parts[4];
  for (size_t i = 0; i < 4; ++i) {
    if (expression.children[i] == nullptr) continue;
    ASSIGN_OR_RETURN(parts[i], Evaluate(*expression.children[i]));
  }
  return GetSlice(parts[0], parts[1], parts[2], parts[3], budget_);
}

absl::StatusOr<Arguments> ExpressionEvaluator::EvaluateArguments(const Expression& expression) {
  Arguments arguments;
  for (size_t i = 1; i < expression.children.size(); ++i) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*expression.children[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, argument] : expression.named) {
    ASSIGN_OR_RETURN(Value value, Evaluate(*argument));
    arguments.named.emplace_back(name, std::move(value));
  }
  return arguments;
}

absl::StatusOr<Value> ExpressionEvaluator::Call(const Expression& expression) {
  const Expression& callee = *expression.children[0];
  if (callee.kind == Kind::kAttribute) {
    ASSIGN_OR_RETURN(const Value object, Evaluate(*callee.children[0]));
    ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
    return CallMethod(object, callee.name, arguments, budget_);
  }
  ASSIGN_OR_RETURN(const Value function, Evaluate(callee));
  if (function.IsUndefined()) return absl::InvalidArgumentError(function.undefined_what());
  if (!function.Is<Function>()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a value of kind ", function.KindName(), " cannot be called"));
  }
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
  return CallFunction(function.function(), arguments);
}

absl::StatusOr<Value> ExpressionEvaluator::CallFunction(Function function,
                                                        const Arguments& arguments) {
  if (function == Function::kRange) return Range(arguments);
  if (function == Function::kNamespace || function == Function::kDict) {
    if (!arguments.positional.empty()) {
      return absl::InvalidArgumentError("namespace and dict take named arguments only");
    }
    if (arguments.named.size() > kMaxEntries) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxEntries, " arguments"));
    }
    for (const auto& argument : arguments.named) {
      if (argument.second.depth() >= Value::kMaxDepth) {
        return absl::InvalidArgumentError("a namespace cannot be put into a namespace or dict");
      }
    }
    return function == Function::kDict ? Value::MakeDict(arguments.named)
                                       : Value::MakeNamespace(arguments.named);
  }
  const Value* text = arguments.Find(0, "");
  if (text == nullptr || arguments.positional.size() != 1) {
    return absl::InvalidArgumentError("raise_exception and strftime_now take one argument");
  }
  RETURN_IF_ERROR(budget_.Step(text->weight()));
  if (function == Function::kRaiseException) {
    return absl::InvalidArgumentError(absl::StrCat("the template says: ", ToText(*text)));
  }
  return Value(absl::FormatTime(ToText(*text), clock_.Now(), absl::LocalTimeZone()));
}

absl::StatusOr<Value> ExpressionEvaluator::Range(const Arguments& arguments) {
  RETURN_IF_ERROR(arguments.Check("range", {"start", "stop", "step"}));
  for (const Value& argument : arguments.positional) {
    if (!argument.IsWhole()) return absl::InvalidArgumentError("range takes ints");
  }
  const size_t count = arguments.positional.size();
  if (count == 0) return absl::InvalidArgumentError("range takes 1 to 3 ints");
  const auto at = [&](size_t i) { return arguments.positional[i].whole(); };
  const int64_t stop = count == 1 ? at(0) : at(1);
  const int64_t step = count == 3 ? at(2) : 1;
  if (step == 0) return absl::InvalidArgumentError("range with step 0");
  std::vector<Value> items;
  int64_t next = count == 1 ? 0 : at(0);
  while (step > 0 ? next < stop : next > stop) {
    RETURN_IF_ERROR(budget_.Step());
    items.emplace_back(next);
    if (__builtin_add_overflow(next, step, &next)) break;
  }
  return Value(std::move(items));
}

absl::StatusOr<Value> ExpressionEvaluator::Dict(const Expression& expression) {
  if (expression.children.size() > 2 * kMaxEntries) {
    return absl::InvalidArgumentError(
        absl::StrCat("a dict of more than ", kMaxEntries, " entries"));
  }
  Entries entries;
  for (size_t i = 0; i < expression.children.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value key, Evaluate(*expression.children[i]));
    ASSIGN_OR_RETURN(Value value, Evaluate(*expression.children[i + 1]));
    if (!key.IsText()) {
      return absl::InvalidArgumentError(
          absl::StrCat("keys of a dict must be strings, found ", key.KindName()));
    }
    entries.emplace_back(key.text(), std::move(value));
  }
  return Value::MakeDict(std::move(entries));
}

absl::StatusOr<Value> ExpressionEvaluator::List(const Expression& expression) {
  std::vector<Value> items;
  for (const ExpressionPtr& child : expression.children) {
    ASSIGN_OR_RETURN(Value item, Evaluate(*child));
    items.push_back(std::move(item));
  }
  return Value(std::move(items));
}

absl::StatusOr<Value> ExpressionEvaluator::Filter(const Expression& expression) {
  ASSIGN_OR_RETURN(const Value input, Evaluate(*expression.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
  return RunFilter(expression.name, input, arguments, budget_);
}

absl::StatusOr<Value> ExpressionEvaluator::Test(const Expression& expression) {
  ASSIGN_OR_RETURN(const Value input, Evaluate(*expression.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvaluateArguments(expression));
  ASSIGN_OR_RETURN(const bool holds,
                   RunTest(expression.name, input, arguments.positional, budget_));
  return Value(holds);
}

absl::StatusOr<Value> ExpressionEvaluator::Compare(const Expression& expression) {
  ASSIGN_OR_RETURN(Value left, Evaluate(*expression.children[0]));
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Evaluate(*expression.children[i + 1]));
    ASSIGN_OR_RETURN(const bool holds,
                     ApplyComparison(expression.operators[i], left, right, budget_));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

absl::StatusOr<Value> ExpressionEvaluator::Binary(const Expression& expression) {
  ASSIGN_OR_RETURN(const Value left, Evaluate(*expression.children[0]));
  ASSIGN_OR_RETURN(const Value right, Evaluate(*expression.children[1]));
  if (expression.kind == Kind::kItem) return GetItem(left, right, budget_);
  return ApplyBinary(expression.operators[0], left, right, budget_);
}

absl::StatusOr<Value> ExpressionEvaluator::Conditional(const Expression& expression) {
  ASSIGN_OR_RETURN(const Value condition, Evaluate(*expression.children[0]));
  if (condition.Truth()) return Evaluate(*expression.children[1]);
  if (expression.children[2] != nullptr) return Evaluate(*expression.children[2]);
  return Value(Undefined{"an 'if' without 'else' was false"});
}

}  // namespace dropbp::data::jinja
