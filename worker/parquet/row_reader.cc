#include "worker/parquet/row_reader.h"

#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <parquet/arrow/reader.h>
#include <parquet/properties.h>

#include <algorithm>
#include <exception>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "worker/hf/json.h"
#include "worker/parquet/row_json.h"

namespace dropbp::parquet {
namespace {

using nlohmann::ordered_json;

// Rows decoded at a time: at most a record's bytes each, and a column of them then has less than
// the 2 GiB that Arrow can hold in one piece.
constexpr int64_t kBatchRows = 64;
// Most bytes of decoded columns and of pages. A broken file may claim any size.
constexpr int64_t kMaxArrowBytes = int64_t{2} << 30;
// Levels of a Parquet schema: a list of JSON takes up to two of them.
constexpr int32_t kMaxSchemaDepth = 128;
constexpr size_t kShownBytes = 300;

absl::Status Broken(std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot be read as Parquet: ", hf::QuoteForError(why, kShownBytes)));
}

absl::Status FromArrow(const arrow::Status& status) {
  return status.ok() ? absl::OkStatus() : Broken(status.message());
}

// What `read` returns; libparquet throws for some of what is wrong with a file.
template <typename Read>
auto WithoutExceptions(const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const std::exception& error) {
    return Broken(error.what());
  }
}

// The leaves of the file's tree of columns that belong to a wanted column.
std::vector<int> WantedLeaves(const ::parquet::SchemaDescriptor& schema,
                              const std::vector<std::string>& columns) {
  std::vector<int> leaves;
  for (int leaf = 0; leaf < schema.num_columns(); ++leaf) {
    const std::string& name = schema.GetColumnRoot(leaf)->name();
    if (columns.empty() || std::find(columns.begin(), columns.end(), name) != columns.end())
      leaves.push_back(leaf);
  }
  return leaves;
}

std::string Quoted(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names)
    absl::StrAppend(&list, list.empty() ? "" : ", ", hf::QuoteForError(name));
  return list;
}

absl::Status NoWantedColumn(const ::parquet::SchemaDescriptor& schema,
                            const std::vector<std::string>& columns) {
  std::vector<std::string> names;
  for (int i = 0; i < std::min(schema.group_node()->field_count(), 20); ++i)
    names.push_back(schema.group_node()->field(i)->name());
  return absl::InvalidArgumentError(absl::StrCat("found the columns ", Quoted(names),
                                                 "; looked for ", Quoted(columns),
                                                 "; other names are told by dataset.fields"));
}

class Reader : public RowReader {
 public:
  absl::Status Open(std::shared_ptr<arrow::io::RandomAccessFile> file,
                    const std::vector<std::string>& columns) {
    ::parquet::ReaderProperties properties(&pool_);
    properties.enable_buffered_stream();  // else a row group's whole column is in memory
    properties.set_schema_depth_limit(kMaxSchemaDepth);
    properties.set_page_checksum_verification(true);
    ::parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
    arrow_properties.set_batch_size(kBatchRows);
    arrow_properties.set_pre_buffer(false);

    ::parquet::arrow::FileReaderBuilder builder;
    RETURN_IF_ERROR(FromArrow(builder.Open(std::move(file), properties)));
    builder.memory_pool(&pool_)->properties(arrow_properties);
    RETURN_IF_ERROR(FromArrow(builder.Build(&file_)));
    const ::parquet::SchemaDescriptor& schema = *file_->parquet_reader()->metadata()->schema();
    const std::vector<int> leaves = WantedLeaves(schema, columns);
    if (leaves.empty()) return NoWantedColumn(schema, columns);
    std::vector<int> row_groups(static_cast<size_t>(file_->num_row_groups()));
    std::iota(row_groups.begin(), row_groups.end(), 0);
    auto rows = file_->GetRecordBatchReader(row_groups, leaves);
    RETURN_IF_ERROR(FromArrow(rows.status()));
    rows_ = *std::move(rows);
    return CheckColumns(rows_->schema()->fields());
  }

  absl::StatusOr<bool> Next(absl::StatusOr<ordered_json>& row) override {
    return WithoutExceptions([&]() -> absl::StatusOr<bool> {
      while (batch_ == nullptr || next_ == batch_->num_rows()) {
        RETURN_IF_ERROR(FromArrow(rows_->ReadNext(&batch_)));
        if (batch_ == nullptr) return false;
        RETURN_IF_ERROR(FromArrow(batch_->Validate()));
        next_ = 0;
      }
      row = RowJson(*batch_, next_++);
      return true;
    });
  }

 private:
  arrow::CappedMemoryPool pool_{arrow::system_memory_pool(), kMaxArrowBytes};
  std::unique_ptr<::parquet::arrow::FileReader> file_;
  std::unique_ptr<arrow::RecordBatchReader> rows_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  int64_t next_ = 0;  // row of the batch
};

}  // namespace

absl::StatusOr<std::unique_ptr<RowReader>> RowReader::Open(
    std::shared_ptr<arrow::io::RandomAccessFile> file, const std::vector<std::string>& columns) {
  auto reader = std::make_unique<Reader>();
  RETURN_IF_ERROR(
      WithoutExceptions([&]() -> absl::Status { return reader->Open(std::move(file), columns); }));
  return reader;
}

}  // namespace dropbp::parquet
