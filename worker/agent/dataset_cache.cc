#include "worker/agent/dataset_cache.h"

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"

namespace dropbp::agent {
absl::StatusOr<std::string> DatasetCache::Fetch(const std::string& sha256,
                                                const CancelToken& cancel) {
  if (!IsSha256(sha256)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dataset.artifact: found '", sha256, "', legal is a SHA-256 of 64 hexadecimal digits"));
  }
  const std::string path = folder_ + "/" + sha256;
  std::shared_ptr<Download> download;
  {
    absl::MutexLock lock(&mutex_);
    const auto [entry, is_new] = downloads_.try_emplace(sha256, nullptr);
    if (!is_new) {
      download = entry->second;
      mutex_.Await(absl::Condition(&download->done));
      if (!download->status.ok()) return download->status;
      return path;
    }
    entry->second = download = std::make_shared<Download>();
  }
  const absl::Status status = Provide(sha256, path, cancel);
  absl::MutexLock lock(&mutex_);
  download->status = status;
  download->done = true;
  if (status.ok()) return path;
  downloads_.erase(sha256);
  return status;
}

absl::Status DatasetCache::Provide(const std::string& sha256, const std::string& path,
                                   const CancelToken& cancel) const {
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    const absl::StatusOr<std::string> found = Sha256HexOfFile(path);
    if (found.ok() && *found == sha256) return absl::OkStatus();
    std::filesystem::remove(path, error);
  }
  const std::string part = path + ".part";
  RETURN_IF_ERROR(artifacts_.Download(sha256, part, cancel));
  if (std::rename(part.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path);
}

}  // namespace dropbp::agent
