#include "worker/data/jinja/value.h"

#include <algorithm>

namespace dropbp::data::jinja {

struct Value::List {
  std::vector<Value> items;
  int depth;
  int64_t weight;
};

struct Value::Dict {
  Entries entries;
  int depth;
  int64_t weight;
};

struct Value::Namespace {
  Entries entries;
};

namespace {

// Far above every limit, and so low that sums of it do not overflow.
constexpr int64_t kWeightCeiling = int64_t{1} << 50;

int64_t AddWeights(int64_t a, int64_t b) { return std::min(a + b, kWeightCeiling); }

const Value* FindEntry(const Entries& entries, std::string_view key) {
  for (const auto& [name, value] : entries) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool EqualEntries(const Value& a, const Value& b) {
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
    const Value* other = b.Find(entry.first);
    return other != nullptr && Equal(entry.second, *other);
  });
}

}  // namespace

Value::Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}

Value::Value(std::vector<Value> items) {
  int depth = 0;
  int64_t weight = 1;
  for (const Value& item : items) {
    depth = std::max(depth, item.depth());
    weight = AddWeights(weight, item.weight());
  }
  data_ = std::make_shared<const List>(List{std::move(items), depth + 1, weight});
}

Value Value::MakeDict(Entries entries) {
  int depth = 0;
  int64_t weight = 1;
  for (const auto& entry : entries) {
    depth = std::max(depth, entry.second.depth());
    weight = AddWeights(weight,
                        1 + static_cast<int64_t>(entry.first.size()) / 64 + entry.second.weight());
  }
  Value value;
  value.data_ = std::make_shared<const Dict>(Dict{std::move(entries), depth + 1, weight});
  return value;
}

Value Value::MakeNamespace(Entries entries) {
  Value value;
  value.data_ = std::make_shared<Namespace>(Namespace{std::move(entries)});
  return value;
}

const std::vector<Value>& Value::items() const {
  return std::get<std::shared_ptr<const List>>(data_)->items;
}

const Entries& Value::entries() const {
  if (IsNamespace()) return std::get<std::shared_ptr<Namespace>>(data_)->entries;
  return std::get<std::shared_ptr<const Dict>>(data_)->entries;
}

void Value::SetInNamespace(const std::string& name, Value value) const {
  Entries& entries = std::get<std::shared_ptr<Namespace>>(data_)->entries;
  for (auto& entry : entries) {
    if (entry.first == name) {
      entry.second = std::move(value);
      return;
    }
  }
  entries.emplace_back(name, std::move(value));
}

const Value* Value::Find(std::string_view key) const { return FindEntry(entries(), key); }

int Value::depth() const {
  if (IsList()) return std::get<std::shared_ptr<const List>>(data_)->depth;
  if (IsDict()) return std::get<std::shared_ptr<const Dict>>(data_)->depth;
  return IsNamespace() ? kMaxDepth : 0;
}

int64_t Value::weight() const {
  if (IsList()) return std::get<std::shared_ptr<const List>>(data_)->weight;
  if (IsDict()) return std::get<std::shared_ptr<const Dict>>(data_)->weight;
  return IsText() ? 1 + static_cast<int64_t>(text().size()) / 64 : 1;
}

bool Value::Truth() const {
  if (IsUndefined() || IsNone()) return false;
  if (IsNumber()) return number() != 0;
  if (IsText()) return !text().empty();
  if (IsList()) return !items().empty();
  if (IsDict()) return !entries().empty();
  return true;
}

const char* Value::KindName() const {
  constexpr const char* kNames[] = {"undefined", "None", "bool", "int",       "float",
                                    "str",       "list", "dict", "namespace", "function"};
  return kNames[data_.index()];
}

bool Equal(const Value& a, const Value& b) {
  if (a.IsNumber() && b.IsNumber()) {
    return a.IsWhole() && b.IsWhole() ? a.whole() == b.whole() : a.number() == b.number();
  }
  if (a.IsText() && b.IsText()) return a.text() == b.text();
  if (a.IsList() && b.IsList()) {
    return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                      Equal);
  }
  if (a.IsDict() && b.IsDict()) return EqualEntries(a, b);
  return (a.IsNone() && b.IsNone()) || (a.IsUndefined() && b.IsUndefined());
}

}  // namespace dropbp::data::jinja
