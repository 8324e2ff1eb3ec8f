// Content-addressed files on disk: <root>/sha256/<first two digits>/<hash>. A file is under its
// final name only when it is complete, durable and has the hash that its name says.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/files.h"
#include "core/base/status.h"

namespace dropbp::server {

// A file on its way in. Dropping it before Commit leaves nothing behind.
class ArtifactUpload {
 public:
  ~ArtifactUpload();
  ArtifactUpload(const ArtifactUpload&) = delete;
  ArtifactUpload& operator=(const ArtifactUpload&) = delete;

  // Adds content in order. INVALID_ARGUMENT (reason SIZE_MISMATCH) once more than the promised size
  // came; RESOURCE_EXHAUSTED when the disk is full.
  absl::Status Write(std::string_view chunk);
  // Checks size and hash, makes the file durable and gives it its name. INVALID_ARGUMENT (reasons
  // SIZE_MISMATCH, HASH_MISMATCH) says what was found and what was promised.
  absl::Status Commit();

 private:
  friend class ArtifactStore;
  ArtifactUpload(int fd, std::string temp_path, std::string final_path, std::string sha256,
                 int64_t size);

  const std::string temp_path_;
  const std::string final_path_;
  const std::string promised_sha256_;
  const int64_t promised_size_;
  int fd_;
  int64_t written_ = 0;
  Sha256 hash_;
};

// A file on its way out.
class ArtifactReader {
 public:
  explicit ArtifactReader(int fd) : fd_(fd) {}
  ~ArtifactReader();
  ArtifactReader(const ArtifactReader&) = delete;
  ArtifactReader& operator=(const ArtifactReader&) = delete;

  // Up to `max_bytes` of the following content; empty at the end.
  absl::StatusOr<std::string> Read(size_t max_bytes);

 private:
  int fd_;
};

// Thread-safe: holds no state but the folder.
class ArtifactStore {
 public:
  // Makes the folders and removes what an interrupted upload left.
  static absl::StatusOr<std::unique_ptr<ArtifactStore>> Open(const std::string& root,
                                                             int64_t max_bytes);

  // Begins an upload. INVALID_ARGUMENT for a malformed hash or size, or a file above the limit.
  absl::StatusOr<std::unique_ptr<ArtifactUpload>> NewUpload(const std::string& sha256,
                                                            int64_t size);
  // Size of a stored file; NOT_FOUND (reason ARTIFACT_NOT_FOUND) if there is none.
  absl::StatusOr<int64_t> SizeOf(const std::string& sha256) const;
  bool Has(const std::string& sha256) const { return SizeOf(sha256).ok(); }
  absl::StatusOr<std::unique_ptr<ArtifactReader>> Read(const std::string& sha256) const;
  // Stores content that this program made; returns its SHA-256.
  absl::StatusOr<std::string> Put(std::string_view content);
  // Removes a file; OK if there is none. Who reads it now reads it to its end.
  absl::Status Delete(const std::string& sha256);

 private:
  ArtifactStore(std::string root, int64_t max_bytes)
      : root_(std::move(root)), max_bytes_(max_bytes) {}
  std::string PathOf(const std::string& sha256) const;

  const std::string root_;
  const int64_t max_bytes_;
};

}  // namespace dropbp::server
