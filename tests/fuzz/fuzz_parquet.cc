// Parquet files, read in this process. Only our own code tells which paths an input takes: the
// library comes compiled.
#include <arrow/buffer.h>
#include <arrow/io/memory.h>

#include "worker/parquet/row_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int kMaxRows = 10'000;  // a few bytes may stand for any number of rows
  const auto bytes = std::make_shared<arrow::Buffer>(data, static_cast<int64_t>(size));
  const auto reader =
      dropbp::parquet::RowReader::Open(std::make_shared<arrow::io::BufferReader>(bytes), {});
  if (!reader.ok()) return 0;
  absl::StatusOr<nlohmann::ordered_json> row;
  for (int i = 0; i < kMaxRows; ++i) {
    const auto more = (*reader)->Next(row);
    if (!more.ok() || !*more) break;
    if (row.ok()) (void)row->dump();  // throws on text that is not UTF-8
  }
  return 0;
}
