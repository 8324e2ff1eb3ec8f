#include "worker/data/jinja/methods.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "worker/data/jinja/text_form.h"
#include "worker/data/utf8.h"

namespace dropbp::data::jinja {
namespace {

using Result = absl::StatusOr<Value>;
using Method = Result (*)(const Value&, const Arguments&, Budget&);

absl::Status ArgumentError(const std::string& what) { return absl::InvalidArgumentError(what); }

// An argument that is text; nullptr if it was not given or is none.
absl::StatusOr<const std::string*> OptionalText(const Arguments& arguments, size_t position,
                                                const char* name) {
  const Value* value = arguments.Find(position, name);
  if (value == nullptr || value->IsNone()) return nullptr;
  if (value->IsText()) return &value->text();
  return ArgumentError(
      absl::StrCat("the argument '", name, "' must be a str, found ", value->KindName()));
}

absl::StatusOr<std::string> NeededText(const Arguments& arguments, size_t position,
                                       const char* name) {
  ASSIGN_OR_RETURN(const std::string* text, OptionalText(arguments, position, name));
  if (text == nullptr) return ArgumentError(absl::StrCat("the argument '", name, "' is missing"));
  return *text;
}

absl::StatusOr<int64_t> OptionalWhole(const Arguments& arguments, size_t position,
                                      const char* name) {
  const Value* value = arguments.Find(position, name);
  if (value == nullptr) return -1;
  if (value->IsWhole()) return value->whole();
  return ArgumentError(
      absl::StrCat("the argument '", name, "' must be an int, found ", value->KindName()));
}

template <bool kLeft, bool kRight>
Result Strip(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("strip", {"chars"}));
  ASSIGN_OR_RETURN(const std::string* characters, OptionalText(arguments, 0, "chars"));
  std::string_view text = object.text();
  if (kLeft) text = StripLeft(text, characters);
  if (kRight) text = StripRight(text, characters);
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
  return Value(std::string(text));
}

// Pieces between white space, without empty ones.
std::vector<Value> SplitAtSpace(std::string_view text, int64_t most) {
  std::vector<Value> pieces;
  text = StripLeft(text, nullptr);
  while (!text.empty()) {
    if (most >= 0 && static_cast<int64_t>(pieces.size()) == most) {
      pieces.emplace_back(std::string(text));
      break;
    }
    size_t end = 0;
    for (size_t next = 0; end < text.size(); end = next) {
      if (IsPythonSpace(NextCodePoint(text, next))) break;
    }
    pieces.emplace_back(std::string(text.substr(0, end)));
    text = StripLeft(text.substr(end), nullptr);
  }
  return pieces;
}

std::vector<Value> SplitAt(std::string_view text, const std::string& separator, int64_t most) {
  std::vector<Value> pieces;
  while (most < 0 || static_cast<int64_t>(pieces.size()) < most) {
    const size_t found = text.find(separator);
    if (found == std::string_view::npos) break;
    pieces.emplace_back(std::string(text.substr(0, found)));
    text.remove_prefix(found + separator.size());
  }
  pieces.emplace_back(std::string(text));
  return pieces;
}

std::vector<Value> SplitAtFromRight(std::string_view text, const std::string& separator,
                                    int64_t most) {
  std::vector<Value> pieces;
  while (most < 0 || static_cast<int64_t>(pieces.size()) < most) {
    const size_t found = text.rfind(separator);
    if (found == std::string_view::npos) break;
    pieces.emplace_back(std::string(text.substr(found + separator.size())));
    text = text.substr(0, found);
  }
  pieces.emplace_back(std::string(text));
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

template <bool kFromRight>
Result Split(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("split", {"sep", "maxsplit"}));
  ASSIGN_OR_RETURN(const std::string* separator, OptionalText(arguments, 0, "sep"));
  ASSIGN_OR_RETURN(const int64_t most, OptionalWhole(arguments, 1, "maxsplit"));
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(object.text().size())));
  RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(object.text().size() / 8)));
  if (separator == nullptr) {
    if (kFromRight && most >= 0) return ArgumentError("rsplit with maxsplit needs a separator");
    return Value(SplitAtSpace(object.text(), most));
  }
  if (separator->empty()) return ArgumentError("split with an empty separator");
  RETURN_IF_ERROR(budget.Search(object.text().size(), separator->size()));
  return Value(kFromRight ? SplitAtFromRight(object.text(), *separator, most)
                          : SplitAt(object.text(), *separator, most));
}

template <bool kAtEnd>
Result StartsOrEndsWith(const Value& object, const Arguments& arguments, Budget&) {
  RETURN_IF_ERROR(arguments.Check(kAtEnd ? "endswith" : "startswith", {"text"}));
  const Value* wanted = arguments.Find(0, "text");
  const auto matches = [&](const Value& part) {
    return part.IsText() && (kAtEnd ? absl::EndsWith(object.text(), part.text())
                                    : absl::StartsWith(object.text(), part.text()));
  };
  if (wanted != nullptr && wanted->IsText()) return Value(matches(*wanted));
  if (wanted != nullptr && wanted->IsList()) {
    return Value(std::any_of(wanted->items().begin(), wanted->items().end(), matches));
  }
  return ArgumentError("startswith and endswith take a str or a tuple of them");
}

template <bool kAtEnd>
Result RemoveAffix(const Value& object, const Arguments& arguments, Budget& budget) {
  ASSIGN_OR_RETURN(const std::string affix, NeededText(arguments, 0, "affix"));
  const std::string& text = object.text();
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(text.size())));
  if (kAtEnd)
    return Value(absl::EndsWith(text, affix) ? text.substr(0, text.size() - affix.size()) : text);
  return Value(absl::StartsWith(text, affix) ? text.substr(affix.size()) : text);
}

Result ReplaceMethod(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("replace", {"old", "new", "count"}));
  ASSIGN_OR_RETURN(const std::string from, NeededText(arguments, 0, "old"));
  ASSIGN_OR_RETURN(const std::string to, NeededText(arguments, 1, "new"));
  ASSIGN_OR_RETURN(const int64_t count, OptionalWhole(arguments, 2, "count"));
  return Replace(object.text(), from, to, count, budget);
}

Result Find(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("find", {"text"}));
  ASSIGN_OR_RETURN(const std::string wanted, NeededText(arguments, 0, "text"));
  RETURN_IF_ERROR(budget.Search(object.text().size(), 64 + wanted.size()));
  const size_t found = object.text().find(wanted);
  if (found == std::string::npos) return Value(int64_t{-1});
  return Value(CodePointCount(std::string_view(object.text()).substr(0, found)));
}

Result Join(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("join", {"items"}));
  const Value* items = arguments.Find(0, "items");
  if (items == nullptr || !items->IsList()) return ArgumentError("join takes a list");
  int64_t size = 0;
  for (const Value& item : items->items()) {
    if (!item.IsText())
      return ArgumentError(absl::StrCat("join: an item is of kind ", item.KindName()));
    size += static_cast<int64_t>(item.text().size() + object.text().size());
  }
  RETURN_IF_ERROR(budget.Bytes(size));
  std::string result;
  for (const Value& item : items->items()) {
    if (&item != &items->items()[0]) result += object.text();
    result += item.text();
  }
  return Value(std::move(result));
}

template <char kHow>
Result Case(const Value& object, const Arguments& arguments, Budget& budget) {
  constexpr const char* kName = kHow == 'u'   ? "upper"
                                : kHow == 'l' ? "lower"
                                : kHow == 't' ? "title"
                                              : "capitalize";
  RETURN_IF_ERROR(arguments.Check(kName, {}));
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(object.text().size() * 2)));
  return Value(ChangeCase(object.text(), kName));
}

const std::map<std::string, Method>& TextMethods() {
  static const std::map<std::string, Method> methods = {
      {"strip", Strip<true, true>},
      {"lstrip", Strip<true, false>},
      {"rstrip", Strip<false, true>},
      {"split", Split<false>},
      {"rsplit", Split<true>},
      {"startswith", StartsOrEndsWith<false>},
      {"endswith", StartsOrEndsWith<true>},
      {"removeprefix", RemoveAffix<false>},
      {"removesuffix", RemoveAffix<true>},
      {"replace", ReplaceMethod},
      {"find", Find},
      {"join", Join},
      {"upper", Case<'u'>},
      {"lower", Case<'l'>},
      {"title", Case<'t'>},
      {"capitalize", Case<'c'>},
  };
  return methods;
}

Result Get(const Value& object, const Arguments& arguments, Budget&) {
  RETURN_IF_ERROR(arguments.Check("get", {"key", "default"}));
  ASSIGN_OR_RETURN(const std::string key, NeededText(arguments, 0, "key"));
  if (const Value* value = object.Find(key)) return *value;
  const Value* fallback = arguments.Find(1, "default");
  return fallback == nullptr ? Value(None{}) : *fallback;
}

Result Items(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("items", {}));
  RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(object.entries().size())));
  std::vector<Value> items;
  for (const auto& [key, value] : object.entries())
    items.emplace_back(std::vector<Value>{Value(key), value});
  return Value(std::move(items));
}

Result Keys(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("keys", {}));
  RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(object.entries().size())));
  std::vector<Value> keys;
  for (const auto& entry : object.entries()) keys.emplace_back(entry.first);
  return Value(std::move(keys));
}

Result Values(const Value& object, const Arguments& arguments, Budget& budget) {
  RETURN_IF_ERROR(arguments.Check("values", {}));
  RETURN_IF_ERROR(budget.Step(static_cast<int64_t>(object.entries().size())));
  std::vector<Value> values;
  for (const auto& entry : object.entries()) values.push_back(entry.second);
  return Value(std::move(values));
}

const std::map<std::string, Method>& DictMethods() {
  static const std::map<std::string, Method> methods = {
      {"get", Get}, {"items", Items}, {"keys", Keys}, {"values", Values}};
  return methods;
}

}  // namespace

std::string ChangeCase(const std::string& text, const std::string& how) {
  std::string result;
  bool inside_word = false;
  for (size_t position = 0; position < text.size();) {
    const auto character = static_cast<utf8proc_int32_t>(NextCodePoint(text, position));
    const bool upper = how == "upper" || (how != "lower" && !inside_word);
    const utf8proc_int32_t changed = !upper           ? utf8proc_tolower(character)
                                     : how == "upper" ? utf8proc_toupper(character)
                                                      : utf8proc_totitle(character);
    AppendUtf8(static_cast<char32_t>(changed), result);
    // title() begins a word at every letter after something else; capitalize() only at the first
    // character.
    inside_word = how == "capitalize" || utf8proc_toupper(character) != character ||
                  utf8proc_tolower(character) != character;
  }
  return result;
}

Result Replace(const std::string& text, const std::string& from, const std::string& to,
               int64_t count, Budget& budget) {
  if (from.empty()) return ArgumentError("replace of an empty text is not supported");
  RETURN_IF_ERROR(budget.Search(text.size(), from.size()));
  std::string result;
  size_t position = 0;
  while (count != 0) {
    const size_t found = text.find(from, position);
    if (found == std::string::npos) break;
    result.append(text, position, found - position);
    result += to;
    position = found + from.size();
    if (count > 0) --count;
    if (static_cast<int64_t>(result.size()) > Budget::kMaxTextBytes)
      break;  // Bytes() below reports it.
  }
  result.append(text, position, std::string::npos);
  RETURN_IF_ERROR(budget.Bytes(static_cast<int64_t>(result.size())));
  return Value(std::move(result));
}

Result CallMethod(const Value& object, const std::string& name, const Arguments& arguments,
                  Budget& budget) {
  if (object.IsUndefined()) return absl::InvalidArgumentError(object.undefined_what());
  if (object.IsText() || object.IsDict()) {
    const auto& methods = object.IsText() ? TextMethods() : DictMethods();
    const auto method = methods.find(name);
    if (method != methods.end()) return method->second(object, arguments, budget);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the method '", name, "' of a ", object.KindName(), " is not supported"));
}

}  // namespace dropbp::data::jinja
