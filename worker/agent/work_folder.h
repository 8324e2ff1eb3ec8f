// The agent's folder on disk:
//   lock                             held while an agent uses the folder
//   cache/<sha256>                   data sets, kept
//   checkpoints/<job>/step-<n>/      parts of checkpoints (checkpoint_cache.h)
//   jobs/<job>/attempt-<n>/rank-<r>.log   what a trainer wrote, kept
//   jobs/<job>/attempt-<n>/rank-<r>/      results of a trainer, removed when it has ended
//   run/agent.sock                   where trainers reach the agent
#pragma once

#include <memory>
#include <string>

#include "core/base/status.h"

namespace dropbp::agent {

// One trainer of one attempt of one job.
struct RankKey {
  std::string job_id;
  int attempt = 0;
  int rank = 0;

  auto operator<=>(const RankKey&) const = default;
};

// "job tune-1 attempt 2 rank 0", for logs and errors.
std::string Name(const RankKey& key);

// With its parents; OK if it is there. FAILED_PRECONDITION names the path.
absl::Status MakeFolder(const std::string& path);

// Thread-safe.
class WorkFolder {
 public:
  // Creates what is missing, takes the lock and removes what an earlier agent left half-done.
  // FAILED_PRECONDITION if another agent uses the folder.
  static absl::StatusOr<std::unique_ptr<WorkFolder>> Open(const std::string& path);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  std::string CacheFolder() const { return path_ + "/cache"; }
  std::string CheckpointFolder() const { return path_ + "/checkpoints"; }
  // In run/, or, where that path is too long for a Unix socket, in a fresh folder under /tmp.
  const std::string& SocketPath() const { return socket_path_; }
  std::string LogPath(const RankKey& key) const;
  std::string OutputFolder(const RankKey& key) const;

  // Makes the attempt's folder and an empty output folder for a rank.
  absl::Status MakeFolders(const RankKey& key) const;
  void RemoveOutput(const RankKey& key) const;

 private:
  WorkFolder(std::string path, int lock_fd) : path_(std::move(path)), lock_fd_(lock_fd) {}
  absl::Status ChooseSocketPath();
  void RemoveLeftovers() const;
  std::string AttemptFolder(const RankKey& key) const;

  const std::string path_;
  const int lock_fd_;
  std::string socket_path_;
  std::string socket_folder_;  // set if it was made for the socket alone
};

}  // namespace dropbp::agent
