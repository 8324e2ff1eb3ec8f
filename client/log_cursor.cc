#include "client/log_cursor.h"

#include <algorithm>

namespace dropbp::client {

bool LogCursor::Advance(v1::ReadJobLogsResponse& part) {
  int64_t& read = read_[{part.rank(), part.attempt()}];
  int64_t& passed_on = passed_on_[{part.rank(), part.attempt()}];
  const int64_t size = static_cast<int64_t>(part.text().size());
  part.mutable_text()->erase(0, std::clamp<int64_t>(passed_on - read, 0, size));
  read += size;
  passed_on = std::max(passed_on, read);
  return !part.text().empty();
}

}  // namespace dropbp::client
