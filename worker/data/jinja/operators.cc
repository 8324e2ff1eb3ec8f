#include "worker/data/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "worker/data/jinja/text_form.h"
#include "worker/data/utf8.h"

namespace dropbp::data::jinja {
namespace {

using Result = absl::StatusOr<Value>;

const char* Symbol(Operator op) {
  constexpr const char* kSymbols[] = {"+",  "-",  "*", "/",  "//", "%",  "**", "~",
                                      "==", "!=", "<", "<=", ">",  ">=", "in", "not in"};
  return kSymbols[static_cast<int>(op)];
}

absl::Status UndefinedError(const Value& value) {
  return absl::InvalidArgumentError(value.undefined_what());
}

absl::Status KindsError(Operator op, const Value& left, const Value& right) {
  if (left.IsUndefined()) return UndefinedError(left);
  if (right.IsUndefined()) return UndefinedError(right);
  return absl::InvalidArgumentError(absl::StrCat("'", Symbol(op), "' does not go with ",
                                                 left.KindName(), " and ", right.KindName()));
}

absl::Status RangeError(Operator op) {
  return absl::InvalidArgumentError(
      absl::StrCat("the result of '", Symbol(op), "' is beyond 64 bits"));
}

Result WholePower(int64_t base, int64_t exponent) {
  if (exponent < 0)
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      return RangeError(Operator::kPower);
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
      return RangeError(Operator::kPower);
  }
  return Value(result);
}

// Python rounds quotients down, so that a remainder has the divisor's sign.
Result WholeDivision(Operator op, int64_t left, int64_t right) {
  if (right == -1) {
    if (op == Operator::kModulo) return Value(int64_t{0});
    if (left == std::numeric_limits<int64_t>::min()) return RangeError(op);
  }
  const int64_t remainder = left % right;
  const bool adjust = remainder != 0 && (remainder < 0) != (right < 0);
  if (op == Operator::kModulo) return Value(remainder + (adjust ? right : 0));
  return Value(left / right - (adjust ? 1 : 0));
}

Result WholeArithmetic(Operator op, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case Operator::kAdd:
      overflow = __builtin_add_overflow(left, right, &result);
      break;
    case Operator::kSubtract:
      overflow = __builtin_sub_overflow(left, right, &result);
      break;
    case Operator::kMultiply:
      overflow = __builtin_mul_overflow(left, right, &result);
      break;
    case Operator::kPower:
      return WholePower(left, right);
    default:
      return WholeDivision(op, left, right);
  }
  if (overflow) return RangeError(op);
  return Value(result);
}

Result FloatArithmetic(Operator op, double left, double right) {
  switch (op) {
    case Operator::kAdd:
      return Value(left + right);
    case Operator::kSubtract:
      return Value(left - right);
    case Operator::kMultiply:
      return Value(left * right);
    case Operator::kDivide:
      return Value(left / right);
    case Operator::kPower:
      return Value(std::pow(left, right));
    default: {
      const double quotient = std::floor(left / right);
      return Value(op == Operator::kFloorDivide ? quotient : left - quotient * right);
    }
  }
}

Result Arithmetic(Operator op, const Value& left, const Value& right) {
  const bool divides =
      op == Operator::kDivide || op == Operator::kFloorDivide || op == Operator::kModulo;
  if (divides && right.number() == 0) return absl::InvalidArgumentError("division by zero");
  if (left.IsWhole() && right.IsWhole() && op != Operator::kDivide) {
    return WholeArithmetic(op, left.whole(), right.whole());
  }
  return FloatArithmetic(op, left.number(), right.number());
}

Result Joined(const std::string& left, const std::string& right, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(left.size() + right.size())));
  return Value(left + right);
}

Result Repeated(const Value& text, const Value& times, Budget& budget) {
  const int64_t count = std::clamp<int64_t>(times.whole(), 0, Budget::kMaxTextBytes + 1);
  const int64_t size = static_cast<int64_t>(text.text().size());
  RETURN_IF_ERROR(budget.Bytes(size == 0                              ? 0
                               : count > Budget::kMaxTextBytes / size ? Budget::kMaxTextBytes + 1
                                                                      : count * size));
  std::string result;
  for (int64_t i = 0; size > 0 && i < count; ++i) result += text.text();
  return Value(std::move(result));
}

Result JoinedLists(const Value& left, const Value& right, Budget& budget) {
  std::vector<Value> items = left.items();
  items.insert(items.end(), right.items().begin(), right.items().end());
  RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(items.size())));
  return Value(std::move(items));
}

absl::StatusOr<bool> Contains(const Value& element, const Value& container, Budget& budget) {
  if (container.IsUndefined()) return false;
  if (container.IsText() && element.IsText()) {
    RETURN_IF_ERROR(budget.Search(container.text().size(), element.text().size()));
    return container.text().find(element.text()) != std::string::npos;
  }
  if (container.IsDict()) return element.IsText() && container.Find(element.text()) != nullptr;
  if (container.IsList()) {
    RETURN_IF_ERROR(budget.Step(container.weight()));
    return std::any_of(container.items().begin(), container.items().end(),
                       [&](const Value& item) { return Equal(item, element); });
  }
  return KindsError(Operator::kIn, element, container);
}

// -1, 0 or 1. UTF-8 orders as code points do.
absl::StatusOr<int> Order(Operator op, const Value& left, const Value& right) {
  if (left.IsText() && right.IsText()) {
    const int order = left.text().compare(right.text());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (left.IsWhole() && right.IsWhole()) {
    return left.whole() < right.whole() ? -1 : left.whole() > right.whole() ? 1 : 0;
  }
  if (left.IsNumber() && right.IsNumber()) {
    return left.number() < right.number() ? -1 : left.number() > right.number() ? 1 : 0;
  }
  return KindsError(op, left, right);
}

std::vector<std::string_view> Characters(const std::string& text) {
  std::vector<std::string_view> characters;
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    NextCodePoint(text, position);
    characters.push_back(std::string_view(text).substr(begin, position - begin));
  }
  return characters;
}

// Python's bounds of a slice over `size` things.
struct Bounds {
  int64_t start;
  int64_t stop;
  int64_t step;
};

absl::StatusOr<Bounds> SliceBounds(const Value& start, const Value& stop, const Value& step,
                                   int64_t size) {
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->IsUndefined() && !bound->IsNone() && !bound->IsWhole()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a slice takes ints, found ", bound->KindName()));
    }
  }
  Bounds bounds;
  bounds.step = step.IsWhole() ? step.whole() : 1;
  if (bounds.step == 0) return absl::InvalidArgumentError("a slice with step 0");
  const bool forward = bounds.step > 0;
  const int64_t lowest = forward ? 0 : -1;
  const int64_t highest = forward ? size : size - 1;
  const auto place = [&](const Value& bound, int64_t fallback) {
    if (!bound.IsWhole()) return fallback;
    const int64_t from_begin =
        bound.whole() < 0 ? std::max(bound.whole(), -size - 1) + size : bound.whole();
    return std::clamp(from_begin, lowest, highest);
  };
  bounds.start = place(start, forward ? lowest : highest);
  bounds.stop = place(stop, forward ? highest : lowest);
  return bounds;
}

template <typename Take>
void ForEachInSlice(const Bounds& bounds, int64_t size, Take take) {
  // A step beyond the size reaches at most the first element; so no sum overflows.
  const int64_t step = std::clamp(bounds.step, -size - 1, size + 1);
  for (int64_t i = bounds.start; step > 0 ? i < bounds.stop : i > bounds.stop; i += step) take(i);
}

}  // namespace

Result ApplyBinary(Operator op, const Value& left, const Value& right, Budget& budget) {
  if (op == Operator::kConcatenate) {
    RETURN_IF_ERROR(budget.Step(left.weight() + right.weight()));
    return Joined(ToText(left), ToText(right), budget);
  }
  if (left.IsNumber() && right.IsNumber()) return Arithmetic(op, left, right);
  if (op == Operator::kAdd && left.IsText() && right.IsText())
    return Joined(left.text(), right.text(), budget);
  if (op == Operator::kAdd && left.IsList() && right.IsList())
    return JoinedLists(left, right, budget);
  if (op == Operator::kMultiply && left.IsText() && right.IsWhole())
    return Repeated(left, right, budget);
  if (op == Operator::kMultiply && left.IsWhole() && right.IsText())
    return Repeated(right, left, budget);
  return KindsError(op, left, right);
}

absl::StatusOr<bool> ApplyComparison(Operator op, const Value& left, const Value& right,
                                     Budget& budget) {
  if (op == Operator::kIn) return Contains(left, right, budget);
  if (op == Operator::kNotIn) {
    ASSIGN_OR_RETURN(const bool contains, Contains(left, right, budget));
    return !contains;
  }
  // Both are walked through side by side, up to the end of the smaller one.
  RETURN_IF_ERROR(budget.Step(std::min(left.weight(), right.weight())));
  if (op == Operator::kEqual) return Equal(left, right);
  if (op == Operator::kNotEqual) return !Equal(left, right);
  ASSIGN_OR_RETURN(const int order, Order(op, left, right));
  switch (op) {
    case Operator::kLess:
      return order < 0;
    case Operator::kLessEqual:
      return order <= 0;
    case Operator::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

Result Negate(const Value& value) {
  if (value.IsWhole()) return WholeArithmetic(Operator::kSubtract, 0, value.whole());
  if (value.IsNumber()) return Value(-value.number());
  if (value.IsUndefined()) return UndefinedError(value);
  return absl::InvalidArgumentError(absl::StrCat("'-' does not go with ", value.KindName()));
}

Result GetAttribute(const Value& object, const std::string& name) {
  if (object.IsUndefined()) return UndefinedError(object);
  if (object.IsDict() || object.IsNamespace()) {
    const Value* value = object.Find(name);
    if (value != nullptr) return *value;
  }
  return Value(Undefined{absl::StrCat("a ", object.KindName(), " has no attribute '", name, "'")});
}

Result GetItem(const Value& object, const Value& key, Budget& budget) {
  if (object.IsUndefined()) return UndefinedError(object);
  if (key.IsText()) return GetAttribute(object, key.text());
  const bool is_sequence = object.IsList() || object.IsText();
  if (!is_sequence || !key.IsWhole()) {
    return Value(Undefined{absl::StrCat("a ", object.KindName(), " has no element ", ToText(key))});
  }
  const int64_t size =
      object.IsList() ? static_cast<int64_t>(object.items().size()) : CodePointCount(object.text());
  const int64_t index = key.whole() < 0 ? key.whole() + size : key.whole();
  if (index < 0 || index >= size) {
    return Value(Undefined{
        absl::StrCat("a ", object.KindName(), " of ", size, " has no element ", key.whole())});
  }
  if (object.IsList()) return object.items()[static_cast<size_t>(index)];
  RETURN_IF_ERROR(budget.Step(1 + size / 64));
  const std::string_view rest =
      std::string_view(object.text()).substr(BytesOfCodePoints(object.text(), index));
  return Value(std::string(rest.substr(0, BytesOfCodePoints(rest, 1))));
}

Result GetSlice(const Value& object, const Value& start, const Value& stop, const Value& step,
                Budget& budget) {
  if (object.IsUndefined()) return UndefinedError(object);
  if (object.IsList()) {
    const int64_t size = static_cast<int64_t>(object.items().size());
    ASSIGN_OR_RETURN(const Bounds bounds, SliceBounds(start, stop, step, size));
    RETURN_IF_ERROR(budget.Step(size));
    std::vector<Value> items;
    ForEachInSlice(bounds, size,
                   [&](int64_t i) { items.push_back(object.items()[static_cast<size_t>(i)]); });
    return Value(std::move(items));
  }
  if (!object.IsText())
    return absl::InvalidArgumentError(absl::StrCat("a ", object.KindName(), " has no slices"));
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(object.text().size())));
  const std::vector<std::string_view> characters = Characters(object.text());
  const int64_t size = static_cast<int64_t>(characters.size());
  ASSIGN_OR_RETURN(const Bounds bounds, SliceBounds(start, stop, step, size));
  std::string result;
  ForEachInSlice(bounds, size, [&](int64_t i) { result += characters[static_cast<size_t>(i)]; });
  return Value(std::move(result));
}

absl::StatusOr<std::vector<Value>> Iterate(const Value& value, Budget& budget) {
  std::vector<Value> items;
  if (value.IsList()) {
    items = value.items();
  } else if (value.IsDict()) {
    for (const auto& entry : value.entries()) items.emplace_back(entry.first);
  } else if (value.IsText()) {
    RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(value.text().size())));
    for (const std::string_view character : Characters(value.text()))
      items.emplace_back(std::string(character));
  } else if (!value.IsUndefined()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot loop over a value of kind ", value.KindName()));
  }
  RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(items.size())));
  return items;
}

}  // namespace dropbp::data::jinja
