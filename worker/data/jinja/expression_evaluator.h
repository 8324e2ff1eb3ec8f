// Values of expressions.
#pragma once

#include "core/base/clock.h"
#include "core/base/status.h"
#include "worker/data/jinja/arguments.h"
#include "worker/data/jinja/ast.h"
#include "worker/data/jinja/budget.h"
#include "worker/data/jinja/scope.h"

namespace dropbp::data::jinja {

// Reads variables from scopes that it does not own. One thread.
class ExpressionEvaluator {
 public:
  ExpressionEvaluator(const Scopes& scopes, Budget& budget, const Clock& clock)
      : scopes_(scopes), budget_(budget), clock_(clock) {}

  // The value of an expression. Errors begin with "line N: ".
  absl::StatusOr<Value> Run(const Expression& expression);

 private:
  using Result = absl::StatusOr<Value>;

  Result Evaluate(const Expression& expression);
  Result EvaluateKind(const Expression& expression);
  Result Name(const std::string& name);
  Result Slice(const Expression& expression);
  Result Call(const Expression& expression);
  Result CallFunction(Function function, const Arguments& arguments);
  Result Range(const Arguments& arguments);
  Result Dict(const Expression& expression);
  Result List(const Expression& expression);
  Result Filter(const Expression& expression);
  Result Test(const Expression& expression);
  Result Compare(const Expression& expression);
  Result Binary(const Expression& expression);
  Result Conditional(const Expression& expression);
  absl::StatusOr<Arguments> EvaluateArguments(const Expression& expression);

  const Scopes& scopes_;
  Budget& budget_;
  const Clock& clock_;
};

}  // namespace dropbp::data::jinja
