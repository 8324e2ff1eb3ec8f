// Values of a template: what Python's None, bool, int, float, str, list and dict are to Jinja, and
// Jinja's undefined.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace dropbp::data::jinja {

class Value;
using Entries = std::vector<std::pair<std::string, Value>>;

// Something that is not there; `what` says so for an error message.
struct Undefined {
  std::string what;
};
struct None {};

// Functions that every template can call.
enum class Function { kNamespace, kDict, kRange, kRaiseException, kStrftimeNow };

// Immutable, but for what a Namespace refers to: a template changes it by `set ns.name = value`.
// Copies are cheap. Tuples are lists. Keys of a dict are strings.
class Value {
 public:
  struct List;
  struct Dict;
  struct Namespace;

  Value() : data_(Undefined{}) {}
  Value(None none) : data_(none) {}                            // NOLINT: values convert
  Value(Undefined undefined) : data_(std::move(undefined)) {}  // NOLINT
  Value(bool value) : data_(value) {}                          // NOLINT
  Value(int64_t value) : data_(value) {}                       // NOLINT
  Value(double value) : data_(value) {}                        // NOLINT
  Value(std::string text);                                     // NOLINT
  Value(const char* text) : Value(std::string(text)) {}        // NOLINT
  Value(Function function) : data_(function) {}                // NOLINT
  Value(std::vector<Value> items);                             // NOLINT

  static Value MakeDict(Entries entries);
  static Value MakeNamespace(Entries entries);

  template <typename T>
  bool Is() const {
    return std::holds_alternative<T>(data_);
  }
  bool IsUndefined() const { return Is<Undefined>(); }
  bool IsNone() const { return Is<None>(); }
  // An int, or a bool that counts as 0 or 1.
  bool IsWhole() const { return Is<int64_t>() || Is<bool>(); }
  bool IsNumber() const { return IsWhole() || Is<double>(); }
  bool IsText() const { return Is<std::shared_ptr<const std::string>>(); }
  bool IsList() const { return Is<std::shared_ptr<const List>>(); }
  bool IsDict() const { return Is<std::shared_ptr<const Dict>>(); }
  bool IsNamespace() const { return Is<std::shared_ptr<Namespace>>(); }

  // Each needs the kind that its name says.
  int64_t whole() const { return Is<bool>() ? std::get<bool>(data_) : std::get<int64_t>(data_); }
  double number() const {
    return Is<double>() ? std::get<double>(data_) : static_cast<double>(whole());
  }
  const std::string& text() const { return *std::get<std::shared_ptr<const std::string>>(data_); }
  const std::vector<Value>& items() const;
  const Entries& entries() const;  // of a dict or a namespace
  const std::string& undefined_what() const { return std::get<Undefined>(data_).what; }
  Function function() const { return std::get<Function>(data_); }
  void SetInNamespace(const std::string& name, Value value) const;

  // The entry of a dict or a namespace; nullptr if there is none.
  const Value* Find(std::string_view key) const;

  // Levels of lists and dicts, 0 for a scalar. A namespace counts as kMaxDepth, so that none can be
  // put into a container and form a circle.
  int depth() const;
  static constexpr int kMaxDepth = 64;

  // What it costs to walk through the value: its elements, those of elements counted each time they
  // occur, and a sixty-fourth of the bytes of its texts. A list that holds one list twice is small
  // in memory, not to walk through.
  int64_t weight() const;
  static constexpr int64_t kMaxWeight = 10'000'000;

  bool Truth() const;
  // Python's name of the kind, for messages.
  const char* KindName() const;

 private:
  std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
               Function>
      data_;
};

// Python's ==.
bool Equal(const Value& a, const Value& b);

}  // namespace dropbp::data::jinja
