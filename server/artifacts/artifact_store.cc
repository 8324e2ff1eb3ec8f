#include "server/artifacts/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

namespace fs = std::filesystem;

absl::Status FileError(const std::string& doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("artifact store: ", doing, " ", path));
}

absl::Status SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return FileError("opening folder", path);
  const int result = fsync(fd);
  close(fd);
  return result == 0 ? absl::OkStatus() : FileError("syncing folder", path);
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat("artifact store: making folder ", path));
}

absl::Status SizeMismatch(int64_t found, const std::string& qualifier, int64_t promised) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat("the header promised ", promised,
                                                            " bytes, found ", qualifier, found)),
                    "SIZE_MISMATCH");
}

}  // namespace

ArtifactUpload::ArtifactUpload(int fd, std::string temp_path, std::string final_path,
                               std::string sha256, int64_t size)
    : temp_path_(std::move(temp_path)),
      final_path_(std::move(final_path)),
      promised_sha256_(std::move(sha256)),
      promised_size_(size),
      fd_(fd) {}

ArtifactUpload::~ArtifactUpload() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temp_path_.c_str());
}

absl::Status ArtifactUpload::Write(std::string_view chunk) {
  if (written_ + static_cast<int64_t>(chunk.size()) > promised_size_) {
    return SizeMismatch(written_ + static_cast<int64_t>(chunk.size()), "at least ", promised_size_);
  }
  hash_.Update(chunk);
  written_ += static_cast<int64_t>(chunk.size());
  while (!chunk.empty()) {
    const ssize_t count = write(fd_, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError("writing", temp_path_);
    chunk.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status ArtifactUpload::Commit() {
  if (written_ != promised_size_) return SizeMismatch(written_, "", promised_size_);
  if (const std::string found = hash_.Finish(); found != promised_sha256_) {
    return WithReason(
        absl::InvalidArgumentError(absl::StrCat("the header promised SHA-256 ", promised_sha256_,
                                                ", the content has ", found)),
        "HASH_MISMATCH");
  }
  if (fsync(fd_) != 0) return FileError("syncing", temp_path_);
  if (rename(temp_path_.c_str(), final_path_.c_str()) != 0) {
    return FileError("renaming to", final_path_);
  }
  close(fd_);
  fd_ = -1;
  return SyncFolder(fs::path(final_path_).parent_path());
}

ArtifactReader::~ArtifactReader() { close(fd_); }

absl::StatusOr<std::string> ArtifactReader::Read(size_t max_bytes) {
  std::string content(max_bytes, '\0');
  ssize_t count;
  do {
    count = read(fd_, content.data(), content.size());
  } while (count < 0 && errno == EINTR);
  if (count < 0) return absl::ErrnoToStatus(errno, "artifact store: reading");
  content.resize(static_cast<size_t>(count));
  return content;
}

absl::StatusOr<std::unique_ptr<ArtifactStore>> ArtifactStore::Open(const std::string& root,
                                                                   int64_t max_bytes) {
  RETURN_IF_ERROR(MakeFolder(absl::StrCat(root, "/sha256")));
  const std::string incoming = absl::StrCat(root, "/incoming");
  std::error_code error;
  fs::remove_all(incoming, error);
  RETURN_IF_ERROR(MakeFolder(incoming));
  return std::unique_ptr<ArtifactStore>(new ArtifactStore(root, max_bytes));
}

std::string ArtifactStore::PathOf(const std::string& sha256) const {
  return absl::StrCat(root_, "/sha256/", sha256.substr(0, 2), "/", sha256);
}

absl::StatusOr<std::unique_ptr<ArtifactUpload>> ArtifactStore::NewUpload(const std::string& sha256,
                                                                         int64_t size) {
  std::vector<FieldViolation> violations;
  if (!IsSha256(sha256)) {
    violations.push_back({"header.sha256", absl::StrCat("found '", sha256,
                                                        "', legal are 64 lower-case "
                                                        "hexadecimal digits")});
  }
  if (size < 0 || size > max_bytes_) {
    violations.push_back(
        {"header.size_bytes", absl::StrCat("found ", size, ", legal is 0 to ", max_bytes_)});
  }
  if (!violations.empty()) return WithReason(InvalidFields(violations), "INVALID_ARTIFACT");
  const std::string final_path = PathOf(sha256);
  RETURN_IF_ERROR(MakeFolder(fs::path(final_path).parent_path()));
  static std::atomic<int64_t> counter{0};
  const std::string temp = absl::StrCat(root_, "/incoming/", sha256, ".", ++counter);
  const int fd = open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return FileError("creating", temp);
  return std::unique_ptr<ArtifactUpload>(new ArtifactUpload(fd, temp, final_path, sha256, size));
}

absl::StatusOr<int64_t> ArtifactStore::SizeOf(const std::string& sha256) const {
  struct stat found;
  // The check keeps a hostile "hash" from naming another file.
  if (IsSha256(sha256) && stat(PathOf(sha256).c_str(), &found) == 0) return found.st_size;
  return WithReason(absl::NotFoundError(absl::StrCat("no artifact has SHA-256 '", sha256, "'")),
                    "ARTIFACT_NOT_FOUND");
}

absl::StatusOr<std::string> ArtifactStore::Put(std::string_view content) {
  const std::string sha256 = Sha256Hex(content);
  if (Has(sha256)) return sha256;
  ASSIGN_OR_RETURN(const auto upload, NewUpload(sha256, static_cast<int64_t>(content.size())));
  RETURN_IF_ERROR(upload->Write(content));
  RETURN_IF_ERROR(upload->Commit());
  return sha256;
}

absl::Status ArtifactStore::Delete(const std::string& sha256) {
  if (!IsSha256(sha256)) return absl::InvalidArgumentError("not a SHA-256: " + sha256);
  const std::string path = PathOf(sha256);
  if (unlink(path.c_str()) == 0) return SyncFolder(fs::path(path).parent_path());
  return errno == ENOENT ? absl::OkStatus() : FileError("deleting", path);
}

absl::StatusOr<std::unique_ptr<ArtifactReader>> ArtifactStore::Read(
    const std::string& sha256) const {
  RETURN_IF_ERROR(SizeOf(sha256).status());
  const int fd = open(PathOf(sha256).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError("opening", PathOf(sha256));
  return std::make_unique<ArtifactReader>(fd);
}

}  // namespace dropbp::server
