// The rows of a Parquet file, one by one.
#pragma once

#include <arrow/io/interfaces.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace dropbp::parquet {

// Decodes a few rows at a time, of the columns that are wanted, so that the size of a file or of
// its row groups does not matter. One thread.
class RowReader {
 public:
  // Reads those of `columns` that the file has; all where none is named. INVALID_ARGUMENT says why
  // the file cannot be read: it is broken, it has none of the columns, or one of a type or name
  // that is not legal.
  static absl::StatusOr<std::unique_ptr<RowReader>> Open(
      std::shared_ptr<arrow::io::RandomAccessFile> file, const std::vector<std::string>& columns);
  virtual ~RowReader() = default;

  // The next row, or why it is refused, see RowJson; then the next one may be good. False at the
  // end of the file. An error ends the reading.
  virtual absl::StatusOr<bool> Next(absl::StatusOr<nlohmann::ordered_json>& row) = 0;
};

}  // namespace dropbp::parquet
