// Lines of a text file, one at a time, each bounded.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "core/base/status.h"

namespace dropbp::data {

inline constexpr size_t kMaxLineBytes = 16 << 20;

// Reads the lines of a file. "\n" and "\r\n" end a line, a BOM before the first one is skipped. One
// thread.
class LineReader {
 public:
  static absl::StatusOr<LineReader> Open(const std::string& path);

  struct Line {
    std::string text;
    int64_t number = 0;     // from 1
    bool too_long = false;  // longer than kMaxLineBytes; then `text` is cut
  };

  // Reads the next line; false at the end of the file. An error if the file cannot be read.
  absl::StatusOr<bool> Next(Line& line);

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  LineReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  int64_t lines_ = 0;
};

}  // namespace dropbp::data
