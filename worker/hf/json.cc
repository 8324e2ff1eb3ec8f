#include "worker/hf/json.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr size_t kMaxErrorBytes = 300;

using nlohmann::ordered_json;

// Whether an object has a key, and adding one that it has not. An ordered object is a list of
// pairs, so its keys are kept in a set beside it.
struct SortedKeys {
  bool Contains(const json& object, const std::string& key) const { return object.contains(key); }
  json& Append(json& object, std::string&& key, json&& value) const {
    return object[std::move(key)] = std::move(value);
  }
};
struct OrderedKeys {
  absl::flat_hash_set<std::string> keys;

  bool Contains(const ordered_json&, const std::string& key) const { return keys.contains(key); }
  ordered_json& Append(ordered_json& object, std::string&& key, ordered_json&& value) {
    keys.insert(key);
    using Pairs = std::vector<std::pair<const std::string, ordered_json>>;
    Pairs& pairs = object.get_ref<ordered_json::object_t&>();
    return pairs.emplace_back(std::move(key), std::move(value)).second;
  }
};

// Builds a document while it counts. Every event returns false to stop; then error() says why.
template <typename Json, typename Keys>
class BoundedBuilder : public nlohmann::json_sax<Json> {
 public:
  using number_integer_t = typename Json::number_integer_t;
  using number_unsigned_t = typename Json::number_unsigned_t;
  using number_float_t = typename Json::number_float_t;
  using string_t = typename Json::string_t;
  using binary_t = typename Json::binary_t;

  explicit BoundedBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Add(nullptr) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t&) override {
    return Add(value) != nullptr;
  }
  bool string(string_t& value) override { return Add(std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return Fail("binary value"); }
  bool start_object(size_t) override { return Open(Json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (open_.back().keys.Contains(*open_.back().value, name))
      return Fail("the key " + QuoteForError(name) + " occurs twice");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    return Fail(DescribeJsonError(e.what()));
  }

  Json Take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool Fail(std::string why) {
    error_ = std::move(why);
    return false;
  }

  // Puts a value where the text has it; null on failure. Addresses of open containers stay valid,
  // because a container gets no further element while one of its children is open.
  Json* Add(Json value) {
    if (++values_ > limits_.max_values) {
      Fail(absl::StrCat("more than ", limits_.max_values, " values"));
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &open_.back().keys.Append(parent, std::move(key_), std::move(value));
  }

  bool Open(Json container) {
    if (open_.size() >= limits_.max_depth) {
      return Fail(absl::StrCat("nested deeper than ", limits_.max_depth, " levels"));
    }
    Json* added = Add(std::move(container));
    if (added != nullptr) open_.push_back({added, {}});
    return added != nullptr;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  struct OpenContainer {
    Json* value;
    Keys keys;
  };

  Json root_;
  std::vector<OpenContainer> open_;
  std::string key_;
  size_t values_ = 0;
  std::string error_;
};

template <typename Json, typename Keys>
absl::StatusOr<Json> Parse(std::string_view text, const JsonLimits& limits) {
  BoundedBuilder<Json, Keys> builder(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(builder.error());
  }
  return builder.Take();
}

}  // namespace

absl::StatusOr<json> ParseJson(std::string_view text, const JsonLimits& limits) {
  return Parse<json, SortedKeys>(text, limits);
}

absl::StatusOr<ordered_json> ParseOrderedJson(std::string_view text, const JsonLimits& limits) {
  return Parse<ordered_json, OrderedKeys>(text, limits);
}

std::string DescribeJsonError(std::string_view library_message) {
  const size_t bracket = library_message.find("] ");
  if (bracket != std::string_view::npos) library_message.remove_prefix(bracket + 2);
  constexpr std::string_view kPrefix = "parse error at ";
  if (library_message.substr(0, kPrefix.size()) == kPrefix) {
    library_message.remove_prefix(kPrefix.size());
  }
  return Shortened(ToValidUtf8(library_message), kMaxErrorBytes);
}

std::string QuoteForError(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  std::string shown = absl::Utf8SafeCEscape(std::string(text.substr(0, max_bytes)));
  return absl::StrCat("\"", shown, cut ? "...\"" : "\"");
}

namespace {

template <typename Json>
std::string Describe(const Json& value) {
  if (value.is_string()) return QuoteForError(value.template get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array()) return absl::StrCat("a list of ", value.size());
  return value.dump();
}

}  // namespace

std::string DescribeJson(const json& value) { return Describe(value); }
std::string DescribeJson(const ordered_json& value) { return Describe(value); }

}  // namespace dropbp::hf
