// Records of a data file, whatever kind of file it is.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/data/byte_reader.h"

namespace dropbp::data {

// Most bytes of one record in the file.
inline constexpr size_t kMaxRecordBytes = 16 << 20;
// Most values of one record: its lists, objects and what is in them.
inline constexpr size_t kMaxRecordValues = 1'000'000;

// The bounds of one record as JSON.
absl::StatusOr<nlohmann::ordered_json> ParseRecordText(std::string_view text);

// One thread.
class RecordSource {
 public:
  struct Item {
    // Where the record begins or, if it is refused, where it is wrong; from 1. With Parquet its
    // row.
    int64_t line = 0;
    // The record's value, or why it is refused; then the next one may be good.
    absl::StatusOr<nlohmann::ordered_json> value;
  };

  // Opens a file. `file_type`: jsonl (a value a line), json (one list of values), csv (RFC 4180,
  // the first row has the names; every value is text), or detect: csv by the path's ending, else
  // json or jsonl by the first character. A Parquet file is known by its first bytes, whatever
  // `file_type` is; only those of its columns are read that `keys` name, all where that is empty.
  // INVALID_ARGUMENT for compressed files, which are known by their first bytes too.
  static absl::StatusOr<std::unique_ptr<RecordSource>> Open(
      const std::string& path, const std::string& file_type,
      const std::vector<std::string>& keys = {});
  virtual ~RecordSource() = default;

  // The next record; false at the end of the file. An error ends the reading: the file cannot be
  // read, or it is broken so that what follows has no sense.
  virtual absl::StatusOr<bool> Next(Item& item) = 0;

  // What Item.line counts: "line" or "row".
  virtual const char* unit() const { return "line"; }
};

std::unique_ptr<RecordSource> JsonLinesSource(ByteReader reader);
std::unique_ptr<RecordSource> JsonListSource(ByteReader reader);
std::unique_ptr<RecordSource> CsvSource(ByteReader reader);
absl::StatusOr<std::unique_ptr<RecordSource>> ParquetSource(const std::string& path,
                                                            const std::vector<std::string>& keys);

}  // namespace dropbp::data
