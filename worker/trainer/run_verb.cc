#include "worker/trainer/run_verb.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/run_job.h"
#include "worker/trainer/train/stderr_log.h"

namespace dropbp::trainer {
namespace {

int TrainFor(const std::string& socket_path) {
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

}  // namespace

int RunTrain(int argc, char** argv) {
  CLI::App app("Trains one rank of a job; started by dropbp-worker.", "dropbp-trainer run");
  std::string socket_path;
  app.add_option("--socket", socket_path, "Unix socket that the agent listens on")->required();
  CLI11_PARSE(app, argc, argv);
  return TrainFor(socket_path);
}

}  // namespace dropbp::trainer
