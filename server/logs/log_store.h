// What trainers wrote: <root>/<job>/<attempt>/<rank>.log, each file up to a size limit. Where lines
// are missing, <rank>.log.gap holds "P S": from byte P of the file on stands what the rank wrote
// from its byte S on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp::server {

// Names one log file.
struct LogName {
  std::string job_id;
  int attempt = 0;
  int rank = 0;
};

// Appending is under the coordinator's lock; reading is safe from any thread.
class LogStore {
 public:
  LogStore(std::string root, int64_t limit_bytes)
      : root_(std::move(root)), limit_bytes_(limit_bytes) {}

  // Adds whole lines. At the limit one last line says so, and what follows is left out.
  absl::Status Append(const LogName& name, std::string_view text) {
    return Add(name, std::nullopt, text);
  }
  // The same for lines that begin at byte `offset` of all that the rank wrote. What is there
  // already is skipped, so that lines that come again are kept once. If lines before `offset` never
  // came, a line in their place says how many bytes are missing.
  absl::Status AppendAt(const LogName& name, int64_t offset, std::string_view text) {
    return Add(name, offset, text);
  }
  // The files of a job, by attempt and rank; none if nothing was written.
  std::vector<LogName> List(const std::string& job_id) const;
  // Removes all files of a job; OK if there are none. Who reads one now fails.
  absl::Status Delete(const std::string& job_id) const;
  // Whole lines from `offset` on, about `max_bytes` of them; empty at the end.
  absl::StatusOr<std::string> Read(const LogName& name, int64_t offset, size_t max_bytes) const;
  // Offset at which the last `lines` lines begin.
  absl::StatusOr<int64_t> TailOffset(const LogName& name, int lines) const;

 private:
  absl::Status Add(const LogName& name, std::optional<int64_t> offset, std::string_view text);
  std::string PathOf(const LogName& name) const;

  const std::string root_;
  const int64_t limit_bytes_;
};

}  // namespace dropbp::server
