#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

struct HealthOptions {
  double timeout_seconds = 3;
};

absl::StatusOr<ExitCode> Health(Session& session, const HealthOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const auto answer, client->CheckHealth(absl::Seconds(options.timeout_seconds)));
  if (session.json()) {
    PrintJson(answer, session.out());
  } else {
    session.out().stream << "SERVING" << std::endl;
  }
  return ExitCode::kOk;
}

}  // namespace

void AddHealth(CLI::App& app, Session& session) {
  std::shared_ptr<HealthOptions> options;
  CLI::App* command = AddCommand<HealthOptions>(
      app, session, "health", "Ask once whether the coordinator serves; for probes",
      "  dropbp health\n"
      "  dropbp health --timeout 1 || echo down\n",
      Health, options);
  command->add_option("--timeout", options->timeout_seconds, "Seconds to wait for the answer")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
}

}  // namespace dropbp::client
