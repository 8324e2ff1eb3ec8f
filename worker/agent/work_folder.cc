#include "worker/agent/work_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dropbp::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSocketPath = sizeof(sockaddr_un::sun_path) - 1;

absl::StatusOr<int> TakeLock(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  close(fd);
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": another dropbp-worker uses this folder; give each its own --work-dir"));
}

}  // namespace

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return absl::FailedPreconditionError(absl::StrCat(path, ": ", error.message()));
  return absl::OkStatus();
}

std::string Name(const RankKey& key) {
  return absl::StrCat("job ", key.job_id, " attempt ", key.attempt, " rank ", key.rank);
}

absl::StatusOr<std::unique_ptr<WorkFolder>> WorkFolder::Open(const std::string& path) {
  for (const char* name : {"/cache", "/checkpoints", "/jobs", "/run"})
    RETURN_IF_ERROR(MakeFolder(path + name));
  chmod((path + "/run").c_str(), 0700);  // the socket is for this user's processes
  ASSIGN_OR_RETURN(const int lock_fd, TakeLock(path + "/lock"));
  std::unique_ptr<WorkFolder> folder(new WorkFolder(path, lock_fd));
  RETURN_IF_ERROR(folder->ChooseSocketPath());
  folder->RemoveLeftovers();
  return folder;
}

WorkFolder::~WorkFolder() {
  unlink(socket_path_.c_str());
  if (!socket_folder_.empty()) rmdir(socket_folder_.c_str());
  close(lock_fd_);
}

absl::Status WorkFolder::ChooseSocketPath() {
  socket_path_ = path_ + "/run/agent.sock";
  if (socket_path_.size() <= kMaxSocketPath) return absl::OkStatus();
  char folder[] = "/tmp/dropbp-XXXXXX";
  if (mkdtemp(folder) == nullptr) return absl::ErrnoToStatus(errno, folder);
  socket_folder_ = folder;
  socket_path_ = socket_folder_ + "/agent.sock";
  return absl::OkStatus();
}

// No trainer lives when an agent starts: trainers end with their agent. So every result and
// download is a leftover.
void WorkFolder::RemoveLeftovers() const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(CacheFolder(), error)) {
    if (absl::EndsWith(entry.path().native(), ".part")) fs::remove(entry.path(), error);
  }
  for (const auto& job : fs::directory_iterator(path_ + "/jobs", error)) {
    for (const auto& attempt : fs::directory_iterator(job.path(), error)) {
      for (const auto& entry : fs::directory_iterator(attempt.path(), error)) {
        if (entry.is_directory(error)) fs::remove_all(entry.path(), error);
      }
    }
  }
}

std::string WorkFolder::AttemptFolder(const RankKey& key) const {
  return absl::StrCat(path_, "/jobs/", key.job_id, "/attempt-", key.attempt);
}

std::string WorkFolder::OutputFolder(const RankKey& key) const {
  return absl::StrCat(AttemptFolder(key), "/rank-", key.rank);
}

std::string WorkFolder::LogPath(const RankKey& key) const { return OutputFolder(key) + ".log"; }

absl::Status WorkFolder::MakeFolders(const RankKey& key) const {
  RemoveOutput(key);
  return MakeFolder(OutputFolder(key));
}

void WorkFolder::RemoveOutput(const RankKey& key) const {
  std::error_code error;
  fs::remove_all(OutputFolder(key), error);
}

}  // namespace dropbp::agent
