#include "client/command_line.h"

#include <algorithm>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/commands.h"
#include "client/session.h"

namespace dropbp::client {
namespace {

void AddTlsOptions(CLI::App& app, CoordinatorEndpoint& coordinator) {
  app.add_option("--tls-ca", coordinator.tls.ca,
                 "PEM file of the authorities that the coordinator is trusted by")
      ->envname("DROPBP_TLS_CA");
  app.add_option("--tls-cert", coordinator.tls.cert, "PEM file of your certificate")
      ->envname("DROPBP_TLS_CERT");
  app.add_option("--tls-key", coordinator.tls.key, "PEM file of its private key")
      ->envname("DROPBP_TLS_KEY");
  app.add_option("--tls-server-name", coordinator.tls_server_name,
                 "Name that the coordinator's certificate must hold (default: the dialled host)")
      ->envname("DROPBP_TLS_SERVER_NAME");
}

void AddGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.add_option("--coordinator", options.coordinator.address,
                 "Address of the coordinator, HOST:PORT or unix:/path")
      ->envname("DROPBP_COORDINATOR")
      ->capture_default_str();
  AddTlsOptions(app, options.coordinator);
  app.add_option("--output", options.output,
                 "table for people, json for programs (field names of proto/dropbp/v1)")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.add_option("--retry-seconds", options.retry_seconds,
                 "How long a call is tried while the coordinator is away")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
}

void AddCommands(CLI::App& app, Session& session) {
  AddSubmit(app, session);
  AddValidate(app, session);
  AddList(app, session);
  AddGet(app, session);
  AddWatch(app, session);
  AddLogs(app, session);
  AddCancel(app, session);
  AddPause(app, session);
  AddResume(app, session);
  AddWait(app, session);
  AddCheckpoints(app, session);
  AddDownload(app, session);
  AddDelete(app, session);
  AddWorkers(app, session);
  AddDrain(app, session);
  AddPlan(app, session);
  AddHealth(app, session);
  AddCompletion(app, session);
  AddVersion(app, session);
}

// The command that was typed, for "next: dropbp COMMAND --help".
std::string ChosenCommand(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  return chosen.empty() ? "" : absl::StrCat(" ", chosen.front()->get_name());
}

std::string CommandNames(const CLI::App& app) {
  return absl::StrJoin(
      app.get_subcommands({}), ", ",
      [](std::string* out, const CLI::App* command) { out->append(command->get_name()); });
}

// What was found and what is legal; CLI11's own words where they say so.
std::string UsageProblem(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = app.remaining();
  if (!app.get_subcommands().empty() || unknown.empty()) return error.what();
  return absl::StrCat("command: found \"", unknown.front(), "\", legal is ", CommandNames(app));
}

ExitCode PrintUsageError(const CLI::App& app, const CLI::ParseError& error, const Sink& sink) {
  sink.stream << sink.Paint(Colour::kRed, "error:") << ' ' << UsageProblem(app, error) << '\n'
              << "next: dropbp" << ChosenCommand(app) << " --help" << std::endl;
  return ExitCode::kBadInput;
}

}  // namespace

ExitCode RunCommandLine(std::vector<std::string> arguments, const Console& console) {
  CLI::App app(
      "Fine-tunes language models with Dropping Backward Propagation: submits jobs to a "
      "dropbp-coordinator and "
      "shows how they go.",
      "dropbp");
  Session session(console);
  app.set_version_flag("--version", "dropbp " DROPBP_VERSION, "Print the version of this program");
  app.require_subcommand(1);
  app.fallthrough();  // options before the command are understood after it as well
  app.footer(
      "Examples:\n"
      "  dropbp submit -f job.yaml --follow\n"
      "  dropbp list\n"
      "  dropbp download JOB\n\n" +
      ExitCodeHelp());
  AddGlobalOptions(app, session.options());
  AddCommands(app, session);
  if (arguments.empty()) arguments = {"--help"};
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    console.out.stream << app.help() << std::flush;
  } catch (const CLI::CallForVersion&) {
    console.out.stream << app.version() << std::endl;
  } catch (const CLI::ParseError& error) {
    return PrintUsageError(app, error, console.err);
  }
  return session.exit_code();
}

}  // namespace dropbp::client
