// The command line of dropbp-coordinator.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/base/files.h"
#include "server/config.h"
#include "server/metrics/coordinator_table.h"

namespace dropbp::server {
namespace {

constexpr int64_t kMaxConfigBytes = 1 << 20;

// CLI11 throws; this is the one door.
int Parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& stop) {
    return app.exit(stop) == 0 ? 0 : 2;
  }
  return -1;
}

}  // namespace

absl::StatusOr<ParsedArguments> ParseArguments(int argc, char** argv) {
  CLI::App app(
      "The DropBP coordinator: takes jobs, schedules them on workers, keeps their record.");
  app.set_version_flag("--version", "dropbp-coordinator " DROPBP_VERSION);
  CoordinatorConfig flags;
  std::string config_file;
  app.add_option("--config", config_file, "YAML file with settings; flags go over it");
  auto* listen =
      app.add_option("--listen", flags.listen, "gRPC address, HOST:PORT")->capture_default_str();
  auto* metrics = app.add_option("--metrics-listen", flags.metrics_listen,
                                 "Prometheus address, HOST:PORT; empty for none")
                      ->capture_default_str();
  auto* data = app.add_option("--data-dir", flags.data_dir, "folder of jobs, artifacts and logs")
                   ->capture_default_str();
  auto* port_file = app.add_option("--port-file", flags.port_file,
                                   "file to write the gRPC address to once it serves");
  auto* block_steps = app.add_option("--plan-block-steps", flags.plan_block_steps,
                                     "optimizer steps of one broadcast block of masks")
                          ->capture_default_str();
  auto* reflection = app.add_flag("--reflection", flags.reflection, "serve gRPC reflection");
  bool print_metrics = false;
  app.add_flag("--print-metrics", print_metrics,
               "print the table of the metrics that this program exposes, in Markdown, and end");
  app.footer("Example:\n  dropbp-coordinator --data-dir /var/lib/dropbp --listen 127.0.0.1:7070");
  ParsedArguments parsed;
  parsed.exit_code = Parse(app, argc, argv);
  if (parsed.exit_code < 0 && print_metrics) {
    std::fputs(RenderMetricsMarkdown(CoordinatorTable()).c_str(), stdout);
    parsed.exit_code = 0;
  }
  if (parsed.exit_code >= 0) return parsed;
  CoordinatorConfig& config = parsed.config;
  if (!config_file.empty()) {
    ASSIGN_OR_RETURN(const std::string yaml, ReadFile(config_file, kMaxConfigBytes));
    RETURN_IF_ERROR(ReadConfig(yaml, config_file, config));
  }
  if (listen->count() > 0) config.listen = flags.listen;
  if (metrics->count() > 0) config.metrics_listen = flags.metrics_listen;
  if (data->count() > 0) config.data_dir = flags.data_dir;
  if (port_file->count() > 0) config.port_file = flags.port_file;
  if (block_steps->count() > 0) config.plan_block_steps = flags.plan_block_steps;
  if (reflection->count() > 0) config.reflection = flags.reflection;
  RETURN_IF_ERROR(CheckConfig(config));
  return parsed;
}

}  // namespace dropbp::server
