// Whole-file helpers over POSIX. Every error names the path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace dropbp {

// Content of a regular file; FAILED_PRECONDITION if it is larger than `max_bytes`.
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);

// Durable and atomic: writes `<path>.tmp`, fsyncs, renames over `path`, fsyncs the folder.
absl::Status WriteFileAtomically(const std::string& path, std::string_view content);

// SHA-256 as 64 lower-case hexadecimal digits.
std::string Sha256Hex(std::string_view content);
absl::StatusOr<std::string> Sha256HexOfFile(const std::string& path);
// Whether `text` has that form.
bool IsSha256(std::string_view text);

// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void Update(std::string_view bytes);
  // Hexadecimal digest; no call may follow.
  std::string Finish();

 private:
  void* context_;
};

}  // namespace dropbp
