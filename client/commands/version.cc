#include "client/commands/command.h"
#include "client/commands/commands.h"

namespace dropbp::client {
namespace {

struct VersionOptions {};

absl::StatusOr<ExitCode> Version(Session& session, const VersionOptions&) {
  if (session.json()) {
    session.out().stream << "{\"version\": \"" DROPBP_VERSION "\"}\n";
  } else {
    session.out().stream << "dropbp " DROPBP_VERSION "\n";
  }
  return ExitCode::kOk;
}

}  // namespace

void AddVersion(CLI::App& app, Session& session) {
  std::shared_ptr<VersionOptions> options;
  AddCommand<VersionOptions>(app, session, "version", "Print the version of this program",
                             "  dropbp version\n", Version, options);
}

}  // namespace dropbp::client
