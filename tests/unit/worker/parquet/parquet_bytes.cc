#include "tests/unit/worker/parquet/parquet_bytes.h"

#include <arrow/array.h>
#include <arrow/io/memory.h>
#include <arrow/json/from_string.h>
#include <arrow/table.h>
#include <arrow/util/compression.h>
#include <parquet/arrow/writer.h>

namespace dropbp::parquet {

std::shared_ptr<arrow::Array> Values(const std::shared_ptr<arrow::DataType>& type,
                                     const std::string& json) {
  return arrow::json::ArrayFromJSONString(type, json).ValueOrDie();
}

std::shared_ptr<arrow::Array> Messages(const std::string& json) {
  const auto message =
      arrow::struct_({arrow::field("role", arrow::utf8()), arrow::field("content", arrow::utf8())});
  return Values(arrow::list(message), json);
}

std::string ParquetBytes(const std::vector<TestColumn>& columns,
                         arrow::Compression::type compression, int64_t rows) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const TestColumn& column : columns) {
    fields.push_back(arrow::field(column.name, column.values->type()));
    arrays.push_back(column.values);
  }
  const auto table = arrow::Table::Make(arrow::schema(fields), arrays);
  const auto out = arrow::io::BufferOutputStream::Create().ValueOrDie();
  ::parquet::WriterProperties::Builder properties;
  properties.compression(compression);
  // With Arrow's own schema, as pandas and pyarrow write it: it is what tells of dictionaries.
  ::parquet::ArrowWriterProperties::Builder arrow_properties;
  arrow_properties.store_schema();
  const arrow::Status written =
      ::parquet::arrow::WriteTable(*table, arrow::default_memory_pool(), out, rows,
                                   properties.build(), arrow_properties.build());
  return written.ok() ? out->Finish().ValueOrDie()->ToString() : written.ToString();
}

std::string ParquetBytes(const std::vector<TestColumn>& columns) {
  return ParquetBytes(columns, arrow::Compression::SNAPPY, 2);
}

}  // namespace dropbp::parquet
