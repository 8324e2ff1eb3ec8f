// dropbp-worker: the agent of one node.
#include <fcntl.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <iostream>

#include "worker/agent/agent.h"
#include "worker/agent/agent_metrics.h"
#include "worker/agent/agent_table.h"
#include "worker/agent/options.h"
#include "worker/agent/prepare.h"

namespace dropbp::agent {
namespace {

// Before any thread starts, so that only WaitForStopSignal() takes them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

void WaitForStopSignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
}

int RunAgent(const AgentOptions& given) {
  const sigset_t stop_signals = BlockStopSignals();
  spdlog::set_default_logger(spdlog::stderr_color_mt("dropbp-worker"));
  const absl::StatusOr<AgentOptions> options = ResolveOptions(given);
  if (!options.ok()) {
    std::cerr << "dropbp-worker: " << options.status().message() << "\n";
    return 2;
  }
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  absl::StatusOr<std::unique_ptr<Agent>> agent = Agent::Create(*options, program);
  if (!agent.ok()) {
    std::cerr << "dropbp-worker: " << agent.status().message() << "\n";
    return 1;
  }
  std::unique_ptr<MetricsServer> metrics;
  if (!options->metrics_listen.empty()) {
    auto served = MetricsServer::Start(options->metrics_listen, **agent);
    if (!served.ok()) {
      std::cerr << "dropbp-worker: " << served.status().message() << "\n";
      return 1;
    }
    metrics = *std::move(served);
  }
  WaitForStopSignal(stop_signals);
  (*agent)->Stop();
  return 0;
}

}  // namespace
}  // namespace dropbp::agent

int main(int argc, char** argv) {
  using dropbp::agent::CommandLine;
  const CommandLine line = dropbp::agent::ParseCommandLine(argc, argv);
  switch (line.verb) {
    case CommandLine::Verb::kExit:
      return line.exit_code;
    case CommandLine::Verb::kPrepare:
      return dropbp::agent::RunPrepare(line.prepare);
    case CommandLine::Verb::kPrintMetrics:
      std::cout << dropbp::RenderMetricsMarkdown(dropbp::agent::AgentTable());
      return 0;
    case CommandLine::Verb::kRun:
      return dropbp::agent::RunAgent(line.agent);
  }
}
