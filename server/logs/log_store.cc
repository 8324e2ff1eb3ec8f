#include "server/logs/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/files.h"
#include "core/base/text.h"

namespace dropbp::server {
namespace {

namespace fs = std::filesystem;

absl::Status LogError(const std::string& doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("log store: ", doing, " ", path));
}

// A file descriptor that closes itself.
struct File {
  int fd;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

absl::StatusOr<std::string> ReadAt(int fd, int64_t offset, size_t max_bytes) {
  std::string content(max_bytes, '\0');
  const ssize_t count = pread(fd, content.data(), content.size(), offset);
  if (count < 0) return absl::ErrnoToStatus(errno, "log store: reading");
  content.resize(static_cast<size_t>(count));
  return content;
}

// From byte `position` of the file on stands what the rank wrote from its byte `offset` on.
struct Gap {
  int64_t position = 0;
  int64_t offset = 0;
};

std::string GapPath(const std::string& log_path) { return log_path + ".gap"; }

absl::StatusOr<Gap> ReadGap(const std::string& log_path) {
  constexpr int64_t kMaxBytes = 64;
  const absl::StatusOr<std::string> content = ReadFile(GapPath(log_path), kMaxBytes);
  if (absl::IsNotFound(content.status())) return Gap();
  RETURN_IF_ERROR(content.status());
  const std::vector<std::string> numbers = absl::StrSplit(*content, ' ');
  Gap gap;
  if (numbers.size() != 2 || !absl::SimpleAtoi(numbers[0], &gap.position) ||
      !absl::SimpleAtoi(numbers[1], &gap.offset)) {
    return absl::DataLossError(absl::StrCat("log store: ", GapPath(log_path), " holds \"", *content,
                                            "\", legal are two numbers"));
  }
  return gap;
}

// What of `text`, which begins at byte `offset` of all that the rank wrote, is to be added to a
// file of `size` bytes. The gap is noted before the line that tells of it is written: a death in
// between makes the next call find a gap again, never a line twice.
absl::StatusOr<std::string> WhatIsNew(const std::string& log_path, int64_t size, int64_t offset,
                                      std::string_view text) {
  ASSIGN_OR_RETURN(const Gap gap, ReadGap(log_path));
  const int64_t end = gap.offset + size - gap.position;
  if (offset <= end) {
    return std::string(text.substr(std::min(text.size(), static_cast<size_t>(end - offset))));
  }
  const std::string notice =
      absl::StrCat("[", offset - end, " bytes of this log did not reach the coordinator]\n");
  RETURN_IF_ERROR(WriteFileAtomically(
      GapPath(log_path), absl::StrCat(size + static_cast<int64_t>(notice.size()), " ", offset)));
  return absl::StrCat(notice, AbslView(text));
}

}  // namespace

std::string LogStore::PathOf(const LogName& name) const {
  return absl::StrCat(root_, "/", name.job_id, "/", name.attempt, "/", name.rank, ".log");
}

absl::Status LogStore::Add(const LogName& name, std::optional<int64_t> offset,
                           std::string_view text) {
  const std::string path = PathOf(name);
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  const File file{open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)};
  struct stat found;
  if (file.fd < 0 || fstat(file.fd, &found) != 0) return LogError("opening", path);
  if (found.st_size >= limit_bytes_) return absl::OkStatus();
  std::string lines(text);
  if (offset) {
    ASSIGN_OR_RETURN(lines, WhatIsNew(path, found.st_size, *offset, text));
  }
  if (lines.empty()) return absl::OkStatus();
  if (lines.back() != '\n') lines += '\n';
  if (found.st_size + static_cast<int64_t>(lines.size()) > limit_bytes_) {
    // What fits, and a notice that takes the file past the limit, so that nothing follows it.
    lines.resize(static_cast<size_t>(limit_bytes_ - found.st_size));
    absl::StrAppend(&lines, "\n[log limit of ", limit_bytes_, " bytes reached]\n");
  }
  if (write(file.fd, lines.data(), lines.size()) < 0) return LogError("writing", path);
  return absl::OkStatus();
}

absl::Status LogStore::Delete(const std::string& job_id) const {
  const std::string folder = absl::StrCat(root_, "/", job_id);
  std::error_code error;
  fs::remove_all(folder, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("removing ", folder, ": ", error.message()));
}

std::vector<LogName> LogStore::List(const std::string& job_id) const {
  std::vector<LogName> names;
  std::error_code error;
  for (const auto& attempt : fs::directory_iterator(absl::StrCat(root_, "/", job_id), error)) {
    std::error_code inner;
    for (const auto& file : fs::directory_iterator(attempt.path(), inner)) {
      LogName name{.job_id = job_id};
      if (absl::SimpleAtoi(attempt.path().filename().string(), &name.attempt) &&
          absl::SimpleAtoi(file.path().stem().string(), &name.rank)) {
        names.push_back(name);
      }
    }
  }
  std::sort(names.begin(), names.end(), [](const LogName& a, const LogName& b) {
    return std::tie(a.attempt, a.rank) < std::tie(b.attempt, b.rank);
  });
  return names;
}

absl::StatusOr<std::string> LogStore::Read(const LogName& name, int64_t offset,
                                           size_t max_bytes) const {
  const std::string path = PathOf(name);
  const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return LogError("opening", path);
  ASSIGN_OR_RETURN(std::string content, ReadAt(file.fd, offset, max_bytes));
  const size_t end = content.rfind('\n');
  // A line longer than the chunk is passed on in parts; a line still being written is not.
  if (end == std::string::npos) return content.size() == max_bytes ? content : std::string();
  content.resize(end + 1);
  return content;
}

absl::StatusOr<int64_t> LogStore::TailOffset(const LogName& name, int lines) const {
  const std::string path = PathOf(name);
  const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat found;
  if (file.fd < 0 || fstat(file.fd, &found) != 0) return LogError("opening", path);
  constexpr int64_t kBlock = 64 << 10;
  int newlines = 0;
  for (int64_t end = found.st_size; end > 0;) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    ASSIGN_OR_RETURN(const std::string block,
                     ReadAt(file.fd, begin, static_cast<size_t>(end - begin)));
    for (int64_t i = static_cast<int64_t>(block.size()) - 1; i >= 0; --i) {
      // The newline that ends the line before the wanted ones.
      if (block[static_cast<size_t>(i)] == '\n' && ++newlines == lines + 1) return begin + i + 1;
    }
    end = begin;
  }
  return 0;
}

}  // namespace dropbp::server
