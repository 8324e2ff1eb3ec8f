#include "worker/data/byte_reader.h"

#include <sys/stat.h>

#include <cerrno>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace dropbp::data {

absl::StatusOr<ByteReader> ByteReader::Open(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  ByteReader reader(path, file);
  struct stat info;
  if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  char bom[3];
  const size_t size = std::fread(bom, 1, sizeof bom, file);
  if (std::string_view(bom, size) != "\xef\xbb\xbf") std::rewind(file);
  return reader;
}

absl::Status ByteReader::Finish() const {
  if (std::ferror(file_.get()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
}

}  // namespace dropbp::data
