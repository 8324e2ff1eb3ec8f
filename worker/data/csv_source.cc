// CSV by libcsv: RFC 4180, quoted fields with line breaks, every value text.
#include <csv.h>

#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "worker/data/record_source.h"
#include "worker/data/utf8.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

constexpr size_t kFieldGrowthBytes = size_t{64} << 10;

using nlohmann::ordered_json;
using Row = std::vector<std::string>;

constexpr size_t kMaxColumns = 1024;

// libcsv strips what this calls a space off fields that are not quoted; RFC 4180 keeps it.
int IsNoSpace(unsigned char) { return 0; }

class Csv : public RecordSource {
 public:
  explicit Csv(ByteReader reader) : reader_(std::move(reader)) {
    csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);
    csv_set_space_func(&parser_, &IsNoSpace);
    // Of 128 bytes by default, so that a long field would be copied once for each of them.
    csv_set_blk_size(&parser_, kFieldGrowthBytes);
  }
  ~Csv() override { csv_free(&parser_); }

  absl::StatusOr<bool> Next(Item& item) override {
    if (names_.empty()) {
      ASSIGN_OR_RETURN(const bool any, ReadRow());
      if (!any) return false;
      RETURN_IF_ERROR(TakeNames());
    }
    ASSIGN_OR_RETURN(const bool more, ReadRow());
    if (more) item = {row_line_, RowValue()};
    return more;
  }

 private:
  absl::Status Broken(int64_t line, std::string_view why) const {
    return absl::InvalidArgumentError(
        absl::StrCat(reader_.path(), ":", line, ": ", std::string(why)));
  }

  static void AddField(void* text, size_t size, void* self) {
    static_cast<Csv*>(self)->row_.emplace_back(static_cast<const char*>(text), size);
  }
  static void EndRow(int, void* self) { static_cast<Csv*>(self)->row_done_ = true; }

  // Reads the next row that is not empty into row_; false at the end of the file.
  absl::StatusOr<bool> ReadRow() {
    row_.clear();
    row_done_ = false;
    size_t bytes = 0;
    while (!row_done_) {
      const int next = reader_.Next();
      if (next < 0) return FinishLastRow();
      const char byte = static_cast<char>(next);
      if (bytes == 0) row_line_ = reader_.line();
      // Between rows libcsv skips line breaks; a row begins with what is none.
      if (bytes > 0 || (byte != '\n' && byte != '\r')) ++bytes;
      if (bytes > kMaxRecordBytes)
        return Broken(row_line_, absl::StrCat("a row of more than ", kMaxRecordBytes, " bytes"));
      if (csv_parse(&parser_, &byte, 1, &AddField, &EndRow, this) != 1) {
        return Broken(reader_.line(),
                      absl::StrCat("a quote in the middle of a field (", Reason(),
                                   "); a field with quotes stands in quotes, and each quote in it "
                                   "is written twice"));
      }
    }
    return true;
  }

  absl::StatusOr<bool> FinishLastRow() {
    RETURN_IF_ERROR(reader_.Finish());
    if (csv_fini(&parser_, &AddField, &EndRow, this) != 0)
      return Broken(row_line_, "a quoted field that is not closed");
    return row_done_;
  }

  std::string Reason() { return csv_strerror(csv_error(&parser_)); }

  // Tables of some programs and countries have other signs between columns.
  absl::Status CheckSeparator() const {
    if (row_.size() != 1) return absl::OkStatus();
    const size_t other = row_[0].find_first_of(";\t|");
    if (other == std::string::npos) return absl::OkStatus();
    return Broken(
        row_line_,
        absl::StrCat(
            "the first row is one column, ", hf::QuoteForError(row_[0]),
            "; legal are columns with commas between them, found ",
            row_[0][other] == '\t' ? "a tab" : absl::StrCat("'", row_[0].substr(other, 1), "'")));
  }

  absl::Status TakeNames() {
    RETURN_IF_ERROR(CheckSeparator());
    if (row_.size() > kMaxColumns) {
      return Broken(row_line_, absl::StrCat("found ", row_.size(), " columns, legal are at most ",
                                            kMaxColumns));
    }
    absl::flat_hash_set<std::string> seen;
    for (const std::string& name : row_) {
      if (name.empty() || ValidUtf8Prefix(name) < name.size() || !seen.insert(name).second) {
        return Broken(row_line_,
                      absl::StrCat("the first row has the column ", hf::QuoteForError(name),
                                   "; legal are names in UTF-8, each once"));
      }
    }
    names_ = row_;
    return absl::OkStatus();
  }

  absl::StatusOr<ordered_json> RowValue() const {
    if (row_.size() != names_.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("found ", row_.size(), " fields, the first row has ", names_.size()));
    }
    ordered_json value = ordered_json::object();
    for (size_t i = 0; i < row_.size(); ++i) {
      const size_t valid = ValidUtf8Prefix(row_[i]);
      if (valid < row_[i].size()) {
        return absl::InvalidArgumentError(absl::StrCat("column ", hf::QuoteForError(names_[i]),
                                                       ": invalid UTF-8 at byte ", valid));
      }
      value[names_[i]] = row_[i];
    }
    return value;
  }

  ByteReader reader_;
  csv_parser parser_;
  Row names_;
  Row row_;
  int64_t row_line_ = 1;
  bool row_done_ = false;
};

}  // namespace

std::unique_ptr<RecordSource> CsvSource(ByteReader reader) {
  return std::make_unique<Csv>(std::move(reader));
}

}  // namespace dropbp::data
