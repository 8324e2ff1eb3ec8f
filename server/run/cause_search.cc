#include "server/run/cause_search.h"

namespace dropbp::server {

void CauseSearch::AddWord(int rank, const std::string& why, absl::Time now) {
  if (!open()) {
    first_word_ = why;
    until_ = now + kCauseGrace;
  }
  ranks_.insert(rank);
}

bool CauseSearch::HeardOfAll(const std::vector<Placement>& gang) const {
  for (size_t rank = 0; rank < gang.size(); ++rank) {
    if (!HasGivenUp(static_cast<int>(rank)) && !gang[rank].finished && !gang[rank].gone)
      return false;
  }
  return true;
}

}  // namespace dropbp::server
