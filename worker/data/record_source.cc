#include "worker/data/record_source.h"

#include <charconv>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "worker/data/utf8.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using nlohmann::ordered_json;

constexpr hf::JsonLimits kRecordLimits = {.max_depth = 64, .max_values = kMaxRecordValues};

bool IsSpace(int byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }

absl::Status TooLong() {
  return absl::InvalidArgumentError(absl::StrCat("longer than ", kMaxRecordBytes, " bytes"));
}

// "line L, column C: why" inside a record that begins on line `first`, as a line of the file.
absl::Status InLineOfFile(std::string_view why, int64_t first, int64_t& line) {
  constexpr std::string_view kLine = "line ";
  int64_t inner = 0;
  if (why.substr(0, kLine.size()) == kLine) {
    const char* begin = why.data() + kLine.size();
    const auto number = std::from_chars(begin, why.data() + why.size(), inner);
    const size_t end = static_cast<size_t>(number.ptr - why.data());
    if (number.ec == std::errc() && why.substr(end, 2) == ", ") {
      why.remove_prefix(end + 2);
      line = first + inner - 1;
    }
  }
  return absl::InvalidArgumentError(AbslView(why));
}

// The record that the text from line `first` on is.
void SetItem(std::string_view text, int64_t first, RecordSource::Item& item) {
  item.line = first;
  item.value = ParseRecordText(text);
  if (!item.value.ok())
    item.value = InLineOfFile(StdView(item.value.status().message()), first, item.line);
}

class JsonLines : public RecordSource {
 public:
  explicit JsonLines(ByteReader reader) : reader_(std::move(reader)) {}

  absl::StatusOr<bool> Next(Item& item) override {
    while (reader_.Peek() >= 0) {
      ReadLine();
      if (text_.find_first_not_of(" \t\r\n\v\f") == std::string::npos) continue;
      if (text_.size() > kMaxRecordBytes) {
        item = {reader_.line(), TooLong()};
      } else {
        SetItem(text_, reader_.line(), item);
      }
      return true;
    }
    RETURN_IF_ERROR(reader_.Finish());
    return false;
  }

 private:
  void ReadLine() {
    text_.clear();
    for (int byte; (byte = reader_.Next()) >= 0 && byte != '\n';) {
      if (text_.size() <= kMaxRecordBytes) text_ += static_cast<char>(byte);
    }
  }

  ByteReader reader_;
  std::string text_;
};

// Cuts a list into its elements without looking further into them than needed to find their ends.
class JsonList : public RecordSource {
 public:
  explicit JsonList(ByteReader reader) : reader_(std::move(reader)) {}

  absl::StatusOr<bool> Next(Item& item) override {
    if (!open_) {
      if (closed_) return false;
      if (SkipSpace() != '[') return Broken("found no list, legal is one list of records");
      open_ = true;
      if (SkipSpaceAhead() == ']') {
        reader_.Next();
        return Close();
      }
    }
    SkipSpaceAhead();
    const int64_t first = reader_.next_line();
    bool too_long = false;
    const int end = ReadElement(too_long);
    if (end < 0) return Broken("the list is not closed");
    if (too_long) {
      item = {first, TooLong()};
    } else {
      SetItem(text_, first, item);
    }
    if (end == ']') RETURN_IF_ERROR(Close().status());
    return true;
  }

 private:
  absl::Status Broken(const char* why) {
    RETURN_IF_ERROR(reader_.Finish());
    return absl::InvalidArgumentError(absl::StrCat(reader_.path(), ":", reader_.line(), ": ", why));
  }

  // The first byte that is no space, read.
  int SkipSpace() {
    int byte;
    while (IsSpace(byte = reader_.Next())) {
    }
    return byte;
  }
  // The same, not read.
  int SkipSpaceAhead() {
    while (IsSpace(reader_.Peek())) reader_.Next();
    return reader_.Peek();
  }

  // Reads an element up to the comma or bracket behind it, which is returned; -1 at the end of the
  // file.
  int ReadElement(bool& too_long) {
    text_.clear();
    int depth = 0;
    bool in_text = false;
    for (int byte; (byte = reader_.Next()) >= 0;) {
      if (in_text) {
        in_text = byte != '"';
      } else if (depth == 0 && (byte == ',' || byte == ']')) {
        return byte;
      } else if (byte == '[' || byte == '{') {
        ++depth;
      } else if (byte == ']' || byte == '}') {
        --depth;
      } else {
        in_text = byte == '"';
      }
      Append(byte, too_long);
      if (in_text && byte == '\\') Append(reader_.Next(), too_long);
    }
    return -1;
  }

  void Append(int byte, bool& too_long) {
    if (byte < 0) return;
    too_long = text_.size() >= kMaxRecordBytes;
    if (!too_long) text_ += static_cast<char>(byte);
  }

  // Behind the list: nothing but white space may follow.
  absl::StatusOr<bool> Close() {
    open_ = false;
    closed_ = true;
    if (SkipSpaceAhead() >= 0) return Broken("text follows the list");
    RETURN_IF_ERROR(reader_.Finish());
    return false;
  }

  ByteReader reader_;
  std::string text_;
  bool open_ = false;
  bool closed_ = false;
};

// What the first bytes of a file say that it is; nothing if it may be text.
std::optional<std::string> KindOfBinary(std::string_view beginning) {
  const auto begins_with = [&](std::string_view magic) {
    return beginning.substr(0, magic.size()) == magic;
  };
  if (begins_with("PARE")) return "an encrypted Parquet file";
  if (begins_with("\x1f\x8b")) return "compressed by gzip";
  if (begins_with("\x28\xb5\x2f\xfd")) return "compressed by Zstandard";
  if (begins_with("PK\x03\x04")) return "a ZIP archive";
  return std::nullopt;
}

absl::StatusOr<std::string> Beginning(const std::string& path) {
  ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  std::string bytes;
  for (int byte; bytes.size() < 4096 && (byte = reader.Next()) >= 0;)
    bytes += static_cast<char>(byte);
  RETURN_IF_ERROR(reader.Finish());
  return bytes;
}

}  // namespace

absl::StatusOr<ordered_json> ParseRecordText(std::string_view text) {
  const size_t valid = ValidUtf8Prefix(text);
  if (valid < text.size())
    return absl::InvalidArgumentError(absl::StrCat("invalid UTF-8 at byte ", valid));
  return hf::ParseOrderedJson(text, kRecordLimits);
}

std::unique_ptr<RecordSource> JsonLinesSource(ByteReader reader) {
  return std::make_unique<JsonLines>(std::move(reader));
}

std::unique_ptr<RecordSource> JsonListSource(ByteReader reader) {
  return std::make_unique<JsonList>(std::move(reader));
}

absl::StatusOr<std::unique_ptr<RecordSource>> RecordSource::Open(
    const std::string& path, const std::string& file_type, const std::vector<std::string>& keys) {
  ASSIGN_OR_RETURN(const std::string beginning, Beginning(path));
  if (beginning.substr(0, 4) == "PAR1") return ParquetSource(path, keys);
  if (const auto kind = KindOfBinary(beginning); kind.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is ", *kind, "; legal are JSON Lines, a JSON list, CSV and Parquet"));
  }
  ASSIGN_OR_RETURN(ByteReader reader, ByteReader::Open(path));
  const bool is_csv = file_type == "csv" || (file_type == "detect" && absl::EndsWith(path, ".csv"));
  if (is_csv) return CsvSource(std::move(reader));
  const size_t first = beginning.find_first_not_of(" \t\r\n");
  const bool looks_like_list = first != std::string::npos && beginning[first] == '[';
  const bool is_list = file_type == "json" || (file_type == "detect" && looks_like_list);
  return is_list ? JsonListSource(std::move(reader)) : JsonLinesSource(std::move(reader));
}

}  // namespace dropbp::data
