#include <cstdlib>

#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/run_job.h"
#include "worker/trainer/train/stderr_log.h"
#include "worker/trainer/verbs/verbs.h"

namespace dropbp::trainer {

int RunVerb(const std::string& socket_path) {
  const char* token = std::getenv("DROPBP_TRAINER_TOKEN");
  auto link = ConnectToAgent(socket_path, token == nullptr ? "" : token);
  if (!link.ok()) {
    LogLine(link.status().ToString());
    return 1;
  }
  const absl::Status status = RunJob(**link);
  if (status.ok()) return 0;
  LogLine(status.ToString());
  if (absl::IsCancelled(status)) return 0;
  (*link)->ReportFailure(KindOf(status), std::string(status.message()));
  return 1;
}

}  // namespace dropbp::trainer
