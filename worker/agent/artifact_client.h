// Files to and from the coordinator's artifact store.
#pragma once

#include <memory>
#include <string>

#include "core/base/status.h"
#include "dropbp/v1/artifacts.grpc.pb.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/channel.h"

namespace dropbp::agent {

// Tries again with back-off, for as long as it takes, while the coordinator is away; gives up on
// refusals, and with CANCELLED once `cancel` is. Thread-safe.
class ArtifactClient {
 public:
  explicit ArtifactClient(CoordinatorEndpoint coordinator) : coordinator_(std::move(coordinator)) {}

  // Uploads a file under a name.
  absl::StatusOr<v1::Artifact> Upload(const std::string& path, const std::string& name,
                                      const CancelToken& cancel) const;

  // Downloads the content with this hash to a new file. DATA_LOSS if what came has another hash,
  // NOT_FOUND if the coordinator has none. On failure no file is left.
  absl::Status Download(const std::string& sha256, const std::string& path,
                        const CancelToken& cancel) const;

 private:
  const CoordinatorEndpoint coordinator_;
};

}  // namespace dropbp::agent
