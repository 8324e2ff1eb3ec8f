#include "worker/agent/trainer_ends.h"

namespace dropbp::agent {
namespace {

const char* WayOf(const v1::RankExited& exited) {
  if (!exited.start_error().empty()) return "not_started";
  if (exited.stopped()) return "stopped";
  if (exited.signal() != 0) return "killed";
  return exited.exit_code() == 0 ? "finished" : "failed";
}

}  // namespace

TrainerEnds::TrainerEnds() {
  for (const char* way : {"finished", "failed", "killed", "stopped", "not_started"}) {
    counts_[way] = 0;
  }
}

void TrainerEnds::Count(const v1::RankExited& exited) {
  absl::MutexLock lock(&mutex_);
  ++counts_[WayOf(exited)];
}

std::map<std::string, int64_t> TrainerEnds::Counts() const {
  absl::MutexLock lock(&mutex_);
  return counts_;
}

}  // namespace dropbp::agent
