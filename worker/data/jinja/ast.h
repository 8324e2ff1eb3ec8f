// A parsed template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/jinja/value.h"

namespace dropbp::data::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcatenate,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

// The meaning of `children` stands beside each kind.
struct Expression {
  enum class Kind {
    kConstant,     // constant
    kName,         // name
    kAttribute,    // object; name
    kItem,         // object, key
    kSlice,        // object, start, stop, step; the last three may be null
    kCall,         // callee, arguments...; named
    kFilter,       // input, arguments...; named; name
    kTest,         // input, arguments...; name
    kNot,          // operand
    kNegative,     // operand
    kPositive,     // operand
    kBinary,       // left, right; operators[0]
    kAnd,          // left, right
    kOr,           // left, right
    kCompare,      // operands...; operators between them
    kConditional,  // condition, value if true, value if false (may be null)
    kList,         // items...
    kDict,         // key, value, key, value, ...
  };
  Kind kind;
  int line = 0;
  int depth = 1;  // levels of expressions
  std::string name;
  Value constant;
  std::vector<ExpressionPtr> children;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  std::vector<Operator> operators;
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

struct Statement {
  enum class Kind {
    kText,        // text
    kOutput,      // expression
    kIf,          // branches; otherwise
    kFor,         // targets, expression (what is looped over), filter, body, otherwise
    kSet,         // targets (or text = namespace and targets[0] = attribute), expression
    kSetBlock,    // the same with body
    kGeneration,  // body
    kBreak,
    kContinue,
  };
  Kind kind;
  int line = 0;
  std::string text;
  std::vector<std::string> targets;
  ExpressionPtr expression;
  ExpressionPtr filter;
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block body;
  Block otherwise;
};

}  // namespace dropbp::data::jinja
