// Data files of every type and format. The first byte says which.
#include <cstring>

#include "tests/fuzz/memory_file.h"
#include "worker/data/record.h"
#include "worker/data/record_source.h"

namespace {

using dropbp::data::RecordParser;
using dropbp::data::RecordSource;

constexpr const char* kFileTypes[] = {"detect", "jsonl", "json", "csv"};
constexpr const char* kFormats[] = {"auto",   "messages",          "conversations",
                                    "alpaca", "prompt_completion", "text"};

void ReadAll(RecordSource& source, const char* format) {
  RecordSource::Item item;
  for (;;) {
    const auto more = source.Next(item);
    if (!more.ok() || !*more) return;
    if (item.line < 1) std::abort();
    if (!item.value.ok()) continue;
    const auto parser = RecordParser::For(format, {{"prompt", "p"}}, *item.value);
    if (parser.ok()) (void)parser->Parse(*item.value).ok();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // Another process reads Parquet; fuzz_parquet has it in its own.
  if (size > 4 && std::memcmp(data + 1, "PAR1", 4) == 0) return 0;
  const dropbp::MemoryFile file(data + 1, size - 1);
  const auto source = RecordSource::Open(file.path(), kFileTypes[data[0] % 4]);
  if (source.ok()) ReadAll(**source, kFormats[data[0] / 4 % 6]);
  return 0;
}
