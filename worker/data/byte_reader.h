// Bytes of a file in their order, with the number of the line that they are in.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace dropbp::data {

// One thread.
class ByteReader {
 public:
  // The file's first bytes, without a BOM, come next. INVALID_ARGUMENT if it is not a regular file.
  static absl::StatusOr<ByteReader> Open(const std::string& path);
  // What a program writes into a pipe; `path` is the file that it is about. Takes over
  // `descriptor`.
  static ByteReader OfPipe(const std::string& path, int descriptor) {
    return ByteReader(path, fdopen(descriptor, "r"));
  }

  // The next byte; -1 at the end of the file or where it cannot be read, see Finish.
  int Next() {
    const int byte = getc_unlocked(file_.get());
    line_ += previous_ == '\n';
    previous_ = byte;
    return byte;
  }
  // The byte that Next will give.
  int Peek() {
    const int byte = getc_unlocked(file_.get());
    return byte == EOF ? -1 : std::ungetc(byte, file_.get());
  }

  // Line of the byte that Next gave last, from 1.
  int64_t line() const { return line_; }
  // Line of the byte that Next will give.
  int64_t next_line() const { return line_ + (previous_ == '\n' ? 1 : 0); }
  const std::string& path() const { return path_; }
  // OK at the end of the file; else why it cannot be read.
  absl::Status Finish() const;

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  ByteReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  int previous_ = 0;
  int64_t line_ = 1;
};

}  // namespace dropbp::data
