// Rows of an Arrow record batch as JSON.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/status.h"

namespace dropbp::parquet {

// OK if rows of these columns have a form in JSON: text, numbers, true and false, null, lists and
// structs of these, and dictionaries of them. Else INVALID_ARGUMENT names the column (or the field
// inside it), its type and what is legal. Names are in UTF-8, each once, at most 1,024 side by
// side.
absl::Status CheckColumns(const arrow::FieldVector& columns);

// Row `row` as an object. What is null is left out, in structs too; in a list it stays, as null.
// INVALID_ARGUMENT names the column: text that is not UTF-8, a number that JSON does not have
// (infinite or NaN), a row above the bounds of a record (record_source.h). The columns have
// passed CheckColumns.
absl::StatusOr<nlohmann::ordered_json> RowJson(const arrow::RecordBatch& batch, int64_t row);

}  // namespace dropbp::parquet
