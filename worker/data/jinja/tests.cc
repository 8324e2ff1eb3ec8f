#include "worker/data/jinja/tests.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "worker/data/jinja/ast.h"
#include "worker/data/jinja/operators.h"

namespace dropbp::data::jinja {
namespace {

using Check = bool (*)(const Value&);

const std::map<std::string, Check>& Checks() {
  static const std::map<std::string, Check> checks = {
      {"defined", [](const Value& v) { return !v.IsUndefined(); }},
      {"undefined", [](const Value& v) { return v.IsUndefined(); }},
      {"none", [](const Value& v) { return v.IsNone(); }},
      {"boolean", [](const Value& v) { return v.Is<bool>(); }},
      {"true", [](const Value& v) { return v.Is<bool>() && v.Truth(); }},
      {"false", [](const Value& v) { return v.Is<bool>() && !v.Truth(); }},
      {"integer", [](const Value& v) { return v.Is<int64_t>(); }},
      {"float", [](const Value& v) { return v.Is<double>(); }},
      {"number", [](const Value& v) { return v.IsNumber(); }},
      {"string", [](const Value& v) { return v.IsText(); }},
      {"mapping", [](const Value& v) { return v.IsDict(); }},
      {"sequence",
       [](const Value& v) { return v.IsText() || v.IsList() || v.IsDict() || v.IsUndefined(); }},
      {"iterable",
       [](const Value& v) { return v.IsText() || v.IsList() || v.IsDict() || v.IsUndefined(); }},
      {"callable", [](const Value& v) { return v.Is<Function>(); }},
      {"odd", [](const Value& v) { return v.IsWhole() && v.whole() % 2 != 0; }},
      {"even", [](const Value& v) { return v.IsWhole() && v.whole() % 2 == 0; }},
  };
  return checks;
}

const std::map<std::string, Operator>& Comparisons() {
  static const std::map<std::string, Operator> comparisons = {
      {"equalto", Operator::kEqual},   {"eq", Operator::kEqual},
      {"ne", Operator::kNotEqual},     {"lt", Operator::kLess},
      {"lessthan", Operator::kLess},   {"le", Operator::kLessEqual},
      {"gt", Operator::kGreater},      {"greaterthan", Operator::kGreater},
      {"ge", Operator::kGreaterEqual}, {"in", Operator::kIn},
  };
  return comparisons;
}

}  // namespace

bool IsTest(const std::string& name) {
  return Checks().count(name) > 0 || Comparisons().count(name) > 0;
}

absl::StatusOr<bool> RunTest(const std::string& name, const Value& value,
                             const std::vector<Value>& arguments, Budget& budget) {
  const auto comparison = Comparisons().find(name);
  const size_t expected = comparison == Comparisons().end() ? 0 : 1;
  if (arguments.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("the test '", name, "' takes ", expected,
                                                   " arguments, found ", arguments.size()));
  }
  if (expected == 1) return ApplyComparison(comparison->second, value, arguments[0], budget);
  const auto check = Checks().find(name);
  if (check == Checks().end())
    return absl::InvalidArgumentError(absl::StrCat("the test '", name, "' is not supported"));
  return check->second(value);
}

}  // namespace dropbp::data::jinja
