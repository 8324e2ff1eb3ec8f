// dropbp-parquet: prints the rows of a Parquet file. A program of its own, since the library that
// reads them brings a copy of OpenSSL whose names would take the place of ours, and since a broken
// file then ends at worst this process.
//
// usage: dropbp-parquet [COLUMN...] <FILE
// Prints a line of JSON for every row: an object of its columns; a text that says why the row is
// refused; or a list with one text, why the file is refused, which is the last line.
#include <arrow/io/file.h>
#include <arrow/memory_pool.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "core/base/text.h"
#include "worker/parquet/row_reader.h"

namespace dropbp::parquet {
namespace {

using nlohmann::ordered_json;

void Print(const ordered_json& value) {
  const std::string line = value.dump() + "\n";
  // Whoever reads them has gone.
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) std::exit(1);
}

ordered_json Reason(const absl::Status& status) { return ToValidUtf8(StdView(status.message())); }

absl::Status PrintRows(const std::vector<std::string>& columns) {
  auto file = arrow::io::ReadableFile::Open(STDIN_FILENO, arrow::system_memory_pool());
  if (!file.ok()) return absl::InvalidArgumentError(file.status().ToString());
  ASSIGN_OR_RETURN(const auto reader, RowReader::Open(*file, columns));
  absl::StatusOr<ordered_json> row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader->Next(row));
    if (!more) return absl::OkStatus();
    Print(row.ok() ? *row : Reason(row.status()));
  }
}

// A hostile file can ask for any amount of memory.
void BoundMemory() {
#if defined(DROPBP_BOUND_MEMORY)  // not with sanitizers, which map far more than they use
  constexpr rlim_t kMaxBytes = rlim_t{6} << 30;
  const rlimit limit = {kMaxBytes, kMaxBytes};
  setrlimit(RLIMIT_AS, &limit);
#endif
}

int Run(int argc, char** argv) {
  BoundMemory();
  const absl::Status done = PrintRows({argv + 1, argv + argc});
  if (!done.ok()) Print(ordered_json::array({Reason(done)}));
  return std::fflush(stdout) == 0 && done.ok() ? 0 : 1;
}

}  // namespace
}  // namespace dropbp::parquet

int main(int argc, char** argv) { return dropbp::parquet::Run(argc, argv); }
