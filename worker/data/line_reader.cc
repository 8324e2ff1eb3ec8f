#include "worker/data/line_reader.h"

#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace dropbp::data {

absl::StatusOr<LineReader> LineReader::Open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  LineReader reader(path, file);
  struct stat info;
  if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  return reader;
}

absl::StatusOr<bool> LineReader::Next(Line& line) {
  line = Line{};
  line.number = ++lines_;
  bool read_anything = false;
  for (int c; (c = getc_unlocked(file_.get())) != EOF;) {
    read_anything = true;
    if (c == '\n') break;
    if (line.text.size() < kMaxLineBytes + 1) line.text += static_cast<char>(c);
  }
  if (std::ferror(file_.get()))
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
  if (!line.text.empty() && line.text.back() == '\r') line.text.pop_back();
  if (lines_ == 1 && line.text.compare(0, 3, "\xef\xbb\xbf") == 0) line.text.erase(0, 3);
  line.too_long = line.text.size() > kMaxLineBytes;
  return read_anything;
}

}  // namespace dropbp::data
