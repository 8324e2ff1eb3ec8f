// Checkpoints on this node, so that an attempt that begins where its job was needs to fetch
// nothing.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "dropbp/v1/jobs.pb.h"
#include "worker/agent/artifact_client.h"

namespace dropbp::agent {

// <folder>/<job>/init/ holds the result of an earlier job that a job begins from.
// <folder>/<job>/step-<n>/ holds the parts that this node's trainers wrote and, once a job goes on
// from that step here, all other parts and the manifest. The newest three steps of a job stay; jobs
// of which nothing was saved for a week are forgotten. Thread-safe: files appear whole, under their
// final names.
class CheckpointCache {
 public:
  CheckpointCache(std::string folder, const ArtifactClient& artifacts)
      : folder_(std::move(folder)), artifacts_(artifacts) {}

  // Takes over a part that a trainer of this node wrote, under the name that the manifest gives it.
  // What goes wrong costs only a later download.
  void Keep(const std::string& job_id, int64_t step, const std::string& path,
            const std::string& name) const;

  // Path of the folder with the checkpoint's manifest and parts, whatever of them had to be
  // fetched; the hash of each was checked. Steps behind it are forgotten: they are made again.
  // DATA_LOSS, NOT_FOUND and CANCELLED as ArtifactClient::Download.
  absl::StatusOr<std::string> Fetch(const std::string& job_id, const v1::Checkpoint& checkpoint,
                                    const CancelToken& cancel) const;

  // Path of a folder with the result of an earlier job that this job begins from, fetched alike.
  absl::StatusOr<std::string> FetchInit(
      const std::string& job_id, const google::protobuf::RepeatedPtrField<v1::Artifact>& files,
      const CancelToken& cancel) const;

  // The job has its result.
  void Forget(const std::string& job_id) const;

 private:
  std::string StepFolder(const std::string& job_id, int64_t step) const;
  // Removes a job's steps above `newest` and all but the newest few of the others.
  void Prune(const std::string& job_id, int64_t newest) const;
  void ForgetOldJobs() const;
  absl::Status Provide(const std::string& path, const v1::Artifact& file,
                       const CancelToken& cancel) const;

  const std::string folder_;
  const ArtifactClient& artifacts_;
};

}  // namespace dropbp::agent
