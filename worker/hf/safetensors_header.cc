#include "worker/hf/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <set>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/hf/json.h"

namespace dropbp::hf {
namespace {

struct TypeInfo {
  TensorType type;
  const char* name;
  int64_t bytes;
};

constexpr TypeInfo kTypes[] = {{TensorType::kF32, "F32", 4},   {TensorType::kF16, "F16", 2},
                               {TensorType::kBF16, "BF16", 2}, {TensorType::kF64, "F64", 8},
                               {TensorType::kI64, "I64", 8},   {TensorType::kI32, "I32", 4},
                               {TensorType::kI16, "I16", 2},   {TensorType::kI8, "I8", 1},
                               {TensorType::kU8, "U8", 1},     {TensorType::kBool, "BOOL", 1}};

const TypeInfo& InfoOf(TensorType type) {
  for (const TypeInfo& info : kTypes) {
    if (info.type == type) return info;
  }
  return kTypes[0];
}

// Follows the header's one legal form: {name: {dtype, shape, data_offsets}, "__metadata__": {text:
// text}}.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return Unexpected("null"); }
  bool boolean(bool) override { return Unexpected("a boolean"); }
  bool number_integer(number_integer_t value) override { return Unexpected(absl::StrCat(value)); }
  bool number_float(number_float_t, const string_t& text) override { return Unexpected(text); }
  bool binary(binary_t&) override { return Unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& value) override;
  bool start_object(size_t) override;
  bool key(string_t& name) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    return Fail(DescribeJsonError(e.what()));
  }

  SafetensorsHeader Take() { return std::move(header_); }
  const std::string& error() const { return error_; }

 private:
  enum class Place { kStart, kTop, kTensor, kShape, kOffsets, kMetadata };

  bool Fail(std::string why) {
    error_ = std::move(why);
    return false;
  }
  bool FailTensor(const std::string& why) {
    return Fail(absl::StrCat("tensor ", QuoteForError(current_.name), ": ", why));
  }
  bool Unexpected(const std::string& found);
  bool TopKey(string_t& name);
  bool FinishTensor();

  Place place_ = Place::kStart;
  SafetensorsHeader header_;
  std::unordered_set<std::string> names_;
  bool seen_metadata_ = false;
  TensorEntry current_;
  std::vector<uint64_t> offsets_;
  std::set<std::string> fields_;  // of the current tensor
  std::string key_;               // inside a tensor or the metadata
  std::string error_;
};

bool HeaderReader::Unexpected(const std::string& found) {
  switch (place_) {
    case Place::kStart:
      return Fail(absl::StrCat("the header is ", found, ", not an object"));
    case Place::kTop:
      return FailTensor(absl::StrCat("found ", found, " in place of its object"));
    case Place::kMetadata:
      return Fail(absl::StrCat("__metadata__ ", QuoteForError(key_), ": found ", found,
                               ", legal are strings"));
    default:
      return FailTensor(absl::StrCat("field ", QuoteForError(key_), ": found ", found,
                                     ", legal are dtype (a name), shape and data_offsets (lists of "
                                     "whole numbers from 0)"));
  }
}

bool HeaderReader::number_unsigned(number_unsigned_t value) {
  if (place_ == Place::kOffsets) {
    if (offsets_.size() == 2) return FailTensor("data_offsets has more than two numbers");
    offsets_.push_back(value);
    return true;
  }
  if (place_ != Place::kShape) return Unexpected(absl::StrCat(value));
  if (current_.shape.size() == kMaxRank) return FailTensor(absl::StrCat("rank above ", kMaxRank));
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return FailTensor(absl::StrCat("dimension ", value, " is too large"));
  }
  current_.shape.push_back(static_cast<int64_t>(value));
  return true;
}

bool HeaderReader::string(string_t& value) {
  if (place_ == Place::kMetadata) {
    header_.metadata[key_] = std::move(value);
    return true;
  }
  if (place_ != Place::kTensor || key_ != "dtype") return Unexpected(QuoteForError(value));
  for (const TypeInfo& info : kTypes) {
    if (info.name == value) {
      current_.type = info.type;
      return true;
    }
  }
  return FailTensor(absl::StrCat("dtype ", QuoteForError(value),
                                 " is not supported; supported are F32, F16, BF16, F64, I64, I32, "
                                 "I16, I8, U8, BOOL"));
}

bool HeaderReader::start_object(size_t) {
  if (place_ == Place::kStart) {
    place_ = Place::kTop;
    return true;
  }
  if (place_ != Place::kTop) return Unexpected("an object");
  place_ = current_.name == "__metadata__" ? Place::kMetadata : Place::kTensor;
  return true;
}

bool HeaderReader::TopKey(string_t& name) {
  current_ = TensorEntry{};
  current_.name = std::move(name);
  offsets_.clear();
  fields_.clear();
  if (current_.name == "__metadata__") {
    if (seen_metadata_) return Fail("__metadata__ occurs twice");
    seen_metadata_ = true;
    return true;
  }
  if (current_.name.size() > kMaxNameBytes) {
    return FailTensor(absl::StrCat("its name is longer than ", kMaxNameBytes, " bytes"));
  }
  if (names_.size() == kMaxTensors)
    return Fail(absl::StrCat("more than ", kMaxTensors, " tensors"));
  if (!names_.insert(current_.name).second) return FailTensor("the name occurs twice");
  return true;
}

bool HeaderReader::key(string_t& name) {
  if (place_ == Place::kTop) return TopKey(name);
  key_ = std::move(name);
  if (place_ == Place::kMetadata) {
    if (header_.metadata.count(key_) == 0) return true;
    return Fail(absl::StrCat("__metadata__ ", QuoteForError(key_), " occurs twice"));
  }
  if (key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") {
    return FailTensor(absl::StrCat("unknown field ", QuoteForError(key_),
                                   "; legal are dtype, shape, data_offsets"));
  }
  if (!fields_.insert(key_).second) return FailTensor(absl::StrCat(key_, " occurs twice"));
  return true;
}

bool HeaderReader::end_object() {
  if (place_ == Place::kTensor && !FinishTensor()) return false;
  place_ = Place::kTop;
  return true;
}

bool HeaderReader::FinishTensor() {
  if (fields_.size() != 3) return FailTensor("needs dtype, shape and data_offsets");
  if (offsets_.size() != 2) return FailTensor("data_offsets needs two numbers");
  current_.begin = offsets_[0];
  current_.end = offsets_[1];
  header_.tensors.push_back(std::move(current_));
  return true;
}

bool HeaderReader::start_array(size_t) {
  if (place_ != Place::kTensor || key_ == "dtype") return Unexpected("a list");
  place_ = key_ == "shape" ? Place::kShape : Place::kOffsets;
  return true;
}

bool HeaderReader::end_array() {
  place_ = Place::kTensor;
  return true;
}

// Sorts the tensors by their place in the data and checks sizes and borders.
absl::Status CheckLayout(std::vector<TensorEntry>& tensors, uint64_t data_bytes) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t next = 0;
  for (const TensorEntry& tensor : tensors) {
    const std::string who = absl::StrCat("tensor ", QuoteForError(tensor.name), ": data_offsets [",
                                         tensor.begin, ", ", tensor.end, "] ");
    if (tensor.begin != next || tensor.end < tensor.begin || tensor.end > data_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          who, "must begin at ", next, ", where the data before it ends, and end within the ",
          data_bytes, " data bytes of the file"));
    }
    const int64_t bytes = TensorBytes(tensor.type, tensor.shape);
    if (bytes < 0) return absl::InvalidArgumentError(absl::StrCat(who, "shape is too large"));
    if (tensor.end - tensor.begin != static_cast<uint64_t>(bytes)) {
      return absl::InvalidArgumentError(absl::StrCat(who, "hold ", tensor.end - tensor.begin,
                                                     " bytes, its shape and dtype need ", bytes));
    }
    next = tensor.end;
  }
  if (next == data_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the tensors end at byte ", next, " of the data, the file has ", data_bytes, " data bytes"));
}

}  // namespace

const char* TensorTypeName(TensorType type) { return InfoOf(type).name; }

int64_t ElementBytes(TensorType type) { return InfoOf(type).bytes; }

int64_t TensorBytes(TensorType type, const std::vector<int64_t>& shape) {
  int64_t bytes = ElementBytes(type);
  for (int64_t dimension : shape) {
    if (__builtin_mul_overflow(bytes, dimension, &bytes)) return -1;
  }
  return bytes;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json,
                                                         uint64_t data_bytes) {
  if (json.empty() || json.front() != '{') {
    return absl::InvalidArgumentError("the header does not begin with '{'");
  }
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) {
    return absl::InvalidArgumentError("header: " + reader.error());
  }
  SafetensorsHeader header = reader.Take();
  RETURN_IF_ERROR(CheckLayout(header.tensors, data_bytes));
  return header;
}

}  // namespace dropbp::hf
