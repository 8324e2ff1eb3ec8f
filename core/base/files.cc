#include "core/base/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/text.h"

namespace dropbp {
namespace {

constexpr size_t kChunkBytes = 1 << 16;

absl::Status PosixError(std::string_view operation, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(AbslView(operation), " '", path, "'"));
}

EVP_MD_CTX* Context(void* context) { return static_cast<EVP_MD_CTX*>(context); }

// Opens a regular file and calls `take(bytes)` with each chunk until the end or the first error.
template <typename Take>
absl::Status ReadChunks(const std::string& path, Take take) {
  // O_NONBLOCK: opening a pipe without a writer must fail below instead of waiting.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return PosixError("cannot open", path);
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0) return PosixError("cannot stat", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat("'", path, "' is not a regular file"));
  }
  std::array<char, kChunkBytes> chunk;
  while (true) {
    const ssize_t got = read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return PosixError("cannot read", path);
    if (got == 0) return absl::OkStatus();
    RETURN_IF_ERROR(take(std::string_view(chunk.data(), static_cast<size_t>(got))));
  }
}

absl::Status WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t wrote = write(fd, content.data(), content.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return PosixError("cannot write", path);
    content.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

absl::Status WriteAndSync(const std::string& path, std::string_view content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return PosixError("cannot create", path);
  absl::Status status = WriteAll(fd, content, path);
  if (status.ok() && fsync(fd) != 0) status = PosixError("cannot sync", path);
  if (close(fd) != 0 && status.ok()) status = PosixError("cannot close", path);
  return status;
}

absl::Status SyncFolder(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return PosixError("cannot open folder", folder);
  absl::Cleanup close_fd = [fd] { close(fd); };
  if (fsync(fd) != 0) return PosixError("cannot sync folder", folder);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  std::string content;
  RETURN_IF_ERROR(ReadChunks(path, [&](std::string_view bytes) -> absl::Status {
    if (static_cast<int64_t>(content.size() + bytes.size()) > max_bytes) {
      return absl::FailedPreconditionError(
          absl::StrCat("'", path, "' is larger than ", max_bytes, " bytes"));
    }
    content.append(bytes);
    return absl::OkStatus();
  }));
  return content;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  absl::Status status = WriteAndSync(temporary, content);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = PosixError("cannot rename to", path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return SyncFolder(folder.empty() ? "." : folder);
}

std::string Sha256Hex(std::string_view content) {
  Sha256 sha;
  sha.Update(content);
  return sha.Finish();
}

absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path) {
  Sha256 sha;
  RETURN_IF_ERROR(ReadChunks(path, [&](std::string_view bytes) {
    sha.Update(bytes);
    return absl::OkStatus();
  }));
  return sha.Finish();
}

bool IsSha256(std::string_view text) {
  constexpr size_t kDigits = 64;
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  DROPBP_CHECK(EVP_DigestInit_ex(Context(context_), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(Context(context_)); }

void Sha256::Update(std::string_view bytes) {
  DROPBP_CHECK(EVP_DigestUpdate(Context(context_), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::Finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  DROPBP_CHECK(EVP_DigestFinal_ex(Context(context_), digest.data(), &size) == 1);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), size));
}

}  // namespace dropbp
