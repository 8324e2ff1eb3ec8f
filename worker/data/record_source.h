// Records of a data file, whatever kind of file it is.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"
#include "worker/data/byte_reader.h"

namespace dropbp::data {

// Most bytes of one record in the file.
inline constexpr size_t kMaxRecordBytes = 16 << 20;

// The bounds of one record as JSON.
absl::StatusOr<nlohmann::ordered_json> ParseRecordText(std::string_view text);

// One thread.
class RecordSource {
 public:
  struct Item {
    int64_t line = 0;  // where the record begins or, if it is refused, where it is wrong; from 1
    // The record's value, or why it is refused; then the next one may be good.
    absl::StatusOr<nlohmann::ordered_json> value;
  };

  // Opens a file. `file_type`: jsonl (a value a line), json (one list of values), csv (RFC 4180,
  // the first row has the names; every value is text), or detect: csv by the path's ending, else
  // json or jsonl by the first character. INVALID_ARGUMENT for Parquet and compressed files, which
  // are known by their first bytes.
  static absl::StatusOr<std::unique_ptr<RecordSource>> Open(const std::string& path,
                                                            const std::string& file_type);
  virtual ~RecordSource() = default;

  // The next record; false at the end of the file. An error ends the reading: the file cannot be
  // read, or it is broken so that what follows has no sense.
  virtual absl::StatusOr<bool> Next(Item& item) = 0;
};

std::unique_ptr<RecordSource> JsonLinesSource(ByteReader reader);
std::unique_ptr<RecordSource> JsonListSource(ByteReader reader);
std::unique_ptr<RecordSource> CsvSource(ByteReader reader);

}  // namespace dropbp::data
