// The manifest of a checkpoint: which files it consists of, and the hash of each. It is written
// last, so a folder that has one is complete. docs/checkpoints.md tells the format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp {

inline constexpr char kManifestFile[] = "manifest.json";
inline constexpr int kCheckpointFormatVersion = 1;

// Bounds against files that somebody else made.
inline constexpr int64_t kMaxManifestBytes = 1 << 20;
inline constexpr int32_t kMaxCheckpointParts = 4096;
inline constexpr int64_t kMaxPartBytes = int64_t{1} << 50;

// One file of a checkpoint: what one rank wrote.
struct CheckpointPart {
  std::string file;  // PartFileName() of its rank
  int64_t size_bytes = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits

  bool operator==(const CheckpointPart&) const = default;
};

struct CheckpointManifest {
  std::string identity;               // JobIdentity() of the job that it belongs to
  int64_t step = 0;                   // optimizer steps done
  std::vector<CheckpointPart> parts;  // by rank

  int32_t world_size() const { return static_cast<int32_t>(parts.size()); }
  bool operator==(const CheckpointManifest&) const = default;
};

// "part-00000-of-00002.safetensors".
std::string PartFileName(int rank, int world_size);

// The one text of a manifest; the same manifest always gives the same bytes. Its last field is the
// SHA-256 of all that stands before it.
std::string FormatManifest(const CheckpointManifest& manifest);

// INVALID_ARGUMENT with what was found for anything that FormatManifest() does not give: an unknown
// or missing field, another order, another format version, a value out of its bounds; DATA_LOSS if
// the text does not have the hash at its end. So every changed byte is found.
absl::StatusOr<CheckpointManifest> ParseManifest(std::string_view text);

// Parses `<folder>/manifest.json`. NOT_FOUND if there is none: the checkpoint is not complete.
absl::StatusOr<CheckpointManifest> ReadManifest(const std::string& folder);

// Writes it durably and atomically. Every part must be in the folder, durable, already.
absl::Status WriteManifest(const std::string& folder, const CheckpointManifest& manifest);

// Reads all of every part: OK only if each has the size and the hash that the manifest names, else
// DATA_LOSS with the file and both values; NOT_FOUND if one is missing.
absl::Status VerifyParts(const std::string& folder, const CheckpointManifest& manifest);
// The same for one part.
absl::Status VerifyPart(const std::string& folder, const CheckpointPart& part);

}  // namespace dropbp
