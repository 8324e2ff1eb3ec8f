// Data sets on this node, by content.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "core/base/status.h"
#include "worker/agent/artifact_client.h"

namespace dropbp::agent {

// Files named by their SHA-256 in one folder, fetched when they are first asked for. Thread-safe.
class DatasetCache {
 public:
  DatasetCache(std::string folder, const ArtifactClient& artifacts)
      : folder_(std::move(folder)), artifacts_(artifacts) {}

  // Path of the file with this hash. Downloads it if need be; concurrent requests for one file
  // share a download. The hash of a file found on disk is checked once. NOT_FOUND, DATA_LOSS and
  // CANCELLED as ArtifactClient::Download.
  absl::StatusOr<std::string> Fetch(const std::string& sha256, const CancelToken& cancel);

 private:
  struct Download {
    bool done = false;
    absl::Status status;
  };
  absl::Status Provide(const std::string& sha256, const std::string& path,
                       const CancelToken& cancel) const;

  const std::string folder_;
  const ArtifactClient& artifacts_;
  absl::Mutex mutex_;
  // What was or is being provided; a failed one is forgotten, so that the next request tries again.
  std::map<std::string, std::shared_ptr<Download>> downloads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::agent
