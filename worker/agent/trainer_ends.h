// How trainers of this node ended, counted since the agent started.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::agent {

// The ways: "finished" (exit code 0), "failed" (another one), "killed" (by a signal that was not
// the agent's), "stopped" (by the agent), "not_started". Thread-safe.
class TrainerEnds {
 public:
  TrainerEnds();
  void Count(const v1::RankExited& exited);
  // An entry for each way.
  std::map<std::string, int64_t> Counts() const;

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, int64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::agent
