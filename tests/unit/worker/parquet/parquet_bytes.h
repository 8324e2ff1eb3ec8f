// Parquet files of a test, by Arrow's own writer.
#pragma once

#include <arrow/type_fwd.h>
#include <arrow/util/type_fwd.h>

#include <memory>
#include <string>
#include <vector>

namespace dropbp::parquet {

struct TestColumn {
  std::string name;
  std::shared_ptr<arrow::Array> values;
};

// Values of a column out of a list in JSON.
std::shared_ptr<arrow::Array> Values(const std::shared_ptr<arrow::DataType>& type,
                                     const std::string& json);

// The values of a list<struct<role, content>>.
std::shared_ptr<arrow::Array> Messages(const std::string& json);

// `rows` are the rows of a row group.
std::string ParquetBytes(const std::vector<TestColumn>& columns,
                         arrow::Compression::type compression, int64_t rows);
// The same in row groups of 2 rows, compressed by Snappy.
std::string ParquetBytes(const std::vector<TestColumn>& columns);

}  // namespace dropbp::parquet
