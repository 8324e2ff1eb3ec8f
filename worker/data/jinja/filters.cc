#include "worker/data/jinja/filters.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "worker/data/jinja/methods.h"
#include "worker/data/jinja/operators.h"
#include "worker/data/jinja/tests.h"
#include "worker/data/jinja/text_form.h"

namespace dropbp::data::jinja {
namespace {

using Result = absl::StatusOr<Value>;
using Filter = Result (*)(const Value&, const Arguments&, Budget&);

absl::Status ArgumentError(const std::string& what) { return absl::InvalidArgumentError(what); }

// ToText(value), paid for.
absl::StatusOr<std::string> PaidText(const Value& value, Budget& budget) {
  RETURN_IF_ERROR(budget.Step(value.weight()));
  return ToText(value);
}

Result Text(std::string text, Budget& budget) {
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
  return Value(std::move(text));
}

Result Length(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("length", {}));
  if (input.IsText()) {
    RETURN_IF_ERROR(budget.Step(1 + static_cast<int64_t>(input.text().size()) / 64));
    return Value(CodePointCount(input.text()));
  }
  if (input.IsList()) return Value(static_cast<int64_t>(input.items().size()));
  if (input.IsDict()) return Value(static_cast<int64_t>(input.entries().size()));
  if (input.IsUndefined()) return Value(int64_t{0});
  return ArgumentError(absl::StrCat("a value of kind ", input.KindName(), " has no length"));
}

Result ToJsonFilter(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("tojson", {"ensure_ascii", "indent"}));
  const Value* ascii = arguments.Find(0, "ensure_ascii");
  if (ascii != nullptr && ascii->Truth())
    return ArgumentError("tojson: ensure_ascii=true is not supported");
  const Value* indent = arguments.Find(1, "indent");
  int width = -1;
  if (indent != nullptr && !indent->IsNone()) {
    if (!indent->IsWhole() || indent->whole() < 0 || indent->whole() > 16) {
      return ArgumentError("tojson: indent must be an int from 0 to 16");
    }
    width = static_cast<int>(indent->whole());
  }
  RETURN_IF_ERROR(budget.Step(input.weight() * (2 + width)));
  ASSIGN_OR_RETURN(std::string text, ToJson(input, width));
  return Text(std::move(text), budget);
}

Result Trim(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("trim", {"chars"}));
  ASSIGN_OR_RETURN(const std::string text, PaidText(input, budget));
  const Value* characters = arguments.Find(0, "chars");
  const bool given = characters != nullptr && characters->IsText();
  const std::string* set = given ? &characters->text() : nullptr;
  return Text(std::string(StripRight(StripLeft(text, set), set)), budget);
}

Result Join(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("join", {"d", "attribute"}));
  const Value* separator = arguments.Find(0, "d");
  const Value* attribute = arguments.Find(1, "attribute");
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(input, budget));
  std::string result;
  std::string between;
  if (separator != nullptr) {
    ASSIGN_OR_RETURN(between, PaidText(*separator, budget));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (attribute != nullptr) {
      ASSIGN_OR_RETURN(item, GetItem(items[i], *attribute, budget));
    }
    ASSIGN_OR_RETURN(std::string text, PaidText(item, budget));
    if (i > 0) text = between + text;
    RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
    result += text;
  }
  return Text(std::move(result), budget);
}

Result Default(const Value& input, const Arguments& arguments, Budget&) {
  RETURN_IF_ERROR(arguments.Check("default", {"default_value", "boolean"}));
  const Value* fallback = arguments.Find(0, "default_value");
  const Value* boolean = arguments.Find(1, "boolean");
  const bool missing =
      input.IsUndefined() || (boolean != nullptr && boolean->Truth() && !input.Truth());
  if (!missing) return input;
  return fallback == nullptr ? Value("") : *fallback;
}

Result List(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("list", {}));
  ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(input, budget));
  return Value(std::move(items));
}

template <bool kLast>
Result FirstOrLast(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check(kLast ? "last" : "first", {}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(input, budget));
  if (items.empty())
    return Value(Undefined{"there is no first or last element: the sequence is empty"});
  return kLast ? items.back() : items.front();
}

Result Reverse(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("reverse", {}));
  if (input.IsText()) return GetSlice(input, Undefined{}, Undefined{}, Value(int64_t{-1}), budget);
  ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(input, budget));
  std::reverse(items.begin(), items.end());
  return Value(std::move(items));
}

Result Items(const Value& input, const Arguments& arguments, Budget& budget) {
  if (input.IsUndefined()) return Value(std::vector<Value>{});
  if (!input.IsDict())
    return ArgumentError(absl::StrCat("items: found ", input.KindName(), ", legal is a dict"));
  return CallMethod(input, "items", arguments, budget);
}

Result String(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("string", {}));
  ASSIGN_OR_RETURN(std::string text, PaidText(input, budget));
  return Text(std::move(text), budget);
}

Result Int(const Value& input, const Arguments& arguments, Budget&) {
  RETURN_IF_ERROR(arguments.Check("int", {"default"}));
  int64_t whole = 0;
  double number = 0;
  if (input.IsWhole()) return Value(input.whole());
  if (input.IsText() && absl::SimpleAtoi(input.text(), &whole)) return Value(whole);
  const bool is_number =
      input.Is<double>() || (input.IsText() && absl::SimpleAtod(input.text(), &number));
  if (input.Is<double>()) number = input.number();
  if (is_number && std::abs(number) < 9e18) return Value(static_cast<int64_t>(number));
  const Value* fallback = arguments.Find(0, "default");
  return fallback == nullptr ? Value(int64_t{0}) : *fallback;
}

Result Abs(const Value& input, const Arguments& arguments, Budget&) {
  RETURN_IF_ERROR(arguments.Check("abs", {}));
  if (!input.IsNumber())
    return ArgumentError(absl::StrCat("abs: found ", input.KindName(), ", legal are numbers"));
  return input.number() < 0 ? Negate(input) : Result(input);
}

Result ReplaceFilter(const Value& input, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("replace", {"s", "new", "count"}));
  const Value* from = arguments.Find(0, "s");
  const Value* to = arguments.Find(1, "new");
  const Value* count = arguments.Find(2, "count");
  if (from == nullptr || to == nullptr)
    return ArgumentError("replace takes the text to replace and the new text");
  const int64_t times = count != nullptr && count->IsWhole() ? count->whole() : -1;
  ASSIGN_OR_RETURN(const std::string text, PaidText(input, budget));
  ASSIGN_OR_RETURN(const std::string old_text, PaidText(*from, budget));
  ASSIGN_OR_RETURN(const std::string new_text, PaidText(*to, budget));
  return Replace(text, old_text, new_text, times, budget);
}

template <char kHow>
Result Case(const Value& input, const Arguments& arguments, Budget& budget) {
  constexpr const char* kName = kHow == 'u'   ? "upper"
                                : kHow == 'l' ? "lower"
                                : kHow == 't' ? "title"
                                              : "capitalize";
  RETURN_IF_ERROR(arguments.Check(kName, {}));
  ASSIGN_OR_RETURN(const std::string text, PaidText(input, budget));
  return Text(ChangeCase(text, kName), budget);
}

// select, reject: the items for which a test holds or not; selectattr, rejectattr: for which it
// holds of an attribute.
template <bool kKeep, bool kAttribute>
Result Select(const Value& input, const Arguments& arguments, Budget& budget) {
  if (!arguments.named.empty()) return ArgumentError("select and reject take no named arguments");
  std::vector<Value> rest = arguments.positional;
  Value attribute;
  if (kAttribute) {
    if (rest.empty())
      return ArgumentError("selectattr and rejectattr need the name of an attribute");
    attribute = rest[0];
    rest.erase(rest.begin());
  }
  std::string test;  // empty: truth
  if (!rest.empty()) {
    if (!rest[0].IsText() || !IsTest(rest[0].text())) {
      return ArgumentError(absl::StrCat("the test '", ToText(rest[0]), "' is not supported"));
    }
    test = rest[0].text();
    rest.erase(rest.begin());
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(input, budget));
  std::vector<Value> selected;
  for (const Value& item : items) {
    Value subject = item;
    if (kAttribute) {
      ASSIGN_OR_RETURN(subject, GetItem(item, attribute, budget));
    }
    absl::StatusOr<bool> holds = subject.Truth();
    if (!test.empty()) holds = RunTest(test, subject, rest, budget);
    if (!holds.ok()) return holds.status();
    if (*holds == kKeep) selected.push_back(item);
  }
  return Value(std::move(selected));
}

// map(attribute=name) or map(filter, arguments...)
Result Map(const Value& input, const Arguments& arguments, Budget& budget) {
  const Value* attribute = arguments.positional.empty() ? arguments.Find(0, "attribute") : nullptr;
  Arguments rest = arguments;
  std::string filter;
  if (attribute == nullptr) {
    if (arguments.positional.empty() || !arguments.positional[0].IsText() ||
        !IsFilter(arguments.positional[0].text())) {
      return ArgumentError("map takes attribute=name or the name of a supported filter");
    }
    filter = arguments.positional[0].text();
    rest.positional.erase(rest.positional.begin());
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, Iterate(input, budget));
  std::vector<Value> mapped;
  for (const Value& item : items) {
    Result value = attribute != nullptr ? GetItem(item, *attribute, budget)
                                        : RunFilter(filter, item, rest, budget);
    if (!value.ok()) return value.status();
    mapped.push_back(*std::move(value));
  }
  return Value(std::move(mapped));
}

const std::map<std::string, Filter>& Filters() {
  static const std::map<std::string, Filter> filters = {
      {"abs", Abs},
      {"capitalize", Case<'c'>},
      {"count", Length},
      {"d", Default},
      {"default", Default},
      {"first", FirstOrLast<false>},
      {"int", Int},
      {"items", Items},
      {"join", Join},
      {"last", FirstOrLast<true>},
      {"length", Length},
      {"list", List},
      {"lower", Case<'l'>},
      {"map", Map},
      {"reject", Select<false, false>},
      {"rejectattr", Select<false, true>},
      {"replace", ReplaceFilter},
      {"reverse", Reverse},
      {"safe", String},  // Nothing is escaped here.
      {"select", Select<true, false>},
      {"selectattr", Select<true, true>},
      {"string", String},
      {"title", Case<'t'>},
      {"tojson", ToJsonFilter},
      {"trim", Trim},
      {"upper", Case<'u'>},
  };
  return filters;
}

}  // namespace

bool IsFilter(const std::string& name) { return Filters().count(name) > 0; }

Result RunFilter(const std::string& name, const Value& input, const Arguments& arguments,
                 Budget& budget) {
  RETURN_IF_ERROR(budget.Step());
  const auto filter = Filters().find(name);
  if (filter == Filters().end())
    return ArgumentError(absl::StrCat("the filter '", name, "' is not supported"));
  return filter->second(input, arguments, budget);
}

}  // namespace dropbp::data::jinja
