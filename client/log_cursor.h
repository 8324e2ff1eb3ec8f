// How much of each trainer's log was passed on.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "dropbp/v1/jobs_service.pb.h"

namespace dropbp::client {

// Lets a log that is read again from its beginning go on where it was cut: bytes are counted by
// (rank, attempt).
class LogCursor {
 public:
  // The next part comes from the beginning of the logs again.
  void Restart() { read_.clear(); }

  // Removes from `part` what was passed on before; false if nothing is left.
  bool Advance(v1::ReadJobLogsResponse& part);

 private:
  using Key = std::pair<int32_t, int32_t>;
  std::map<Key, int64_t> read_;       // since Restart()
  std::map<Key, int64_t> passed_on_;  // ever
};

}  // namespace dropbp::client
