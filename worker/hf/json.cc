#include "worker/hf/json.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr size_t kMaxErrorBytes = 300;

// Builds a document while it counts. Every event returns false to stop; then error() says why.
class BoundedBuilder : public nlohmann::json_sax<json> {
 public:
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
  bool start_object(size_t) override { return Open(json::object()); }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (open_.back()->contains(name))
      return Fail("the key " + QuoteForError(name) + " occurs twice");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    return Fail(DescribeJsonError(e.what()));
  }

  json Take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  bool Fail(std::string why) {
    error_ = std::move(why);
    return false;
  }

  // Puts a value where the text has it; null on failure. Addresses of open containers stay valid,
  // because a container gets no further element while one of its children is open.
  json* Add(json value) {
    if (++values_ > limits_.max_values) {
      Fail(absl::StrCat("more than ", limits_.max_values, " values"));
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  bool Open(json container) {
    if (open_.size() >= limits_.max_depth) {
      return Fail(absl::StrCat("nested deeper than ", limits_.max_depth, " levels"));
    }
    json* added = Add(std::move(container));
    if (added != nullptr) open_.push_back(added);
    return added != nullptr;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  const JsonLimits limits_;
  json root_;
  std::vector<json*> open_;
  std::string key_;
  size_t values_ = 0;
  std::string error_;
};

}  // namespace

absl::StatusOr<json> ParseJson(std::string_view text, const JsonLimits& limits) {
  BoundedBuilder builder(limits);
  if (!json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(builder.error());
  }
  return builder.Take();
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

std::string DescribeJson(const json& value) {
  if (value.is_string()) return QuoteForError(value.get_ref<const std::string&>());
  if (value.is_object()) return "an object";
  if (value.is_array()) return absl::StrCat("a list of ", value.size());
  return value.dump();
}

}  // namespace dropbp::hf
