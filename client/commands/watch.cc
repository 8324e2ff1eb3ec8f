#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/follow.h"

namespace dropbp::client {
namespace {

struct WatchOptions {
  std::string job_id;
  int64_t after = 0;
};

absl::StatusOr<ExitCode> Watch(Session& session, const WatchOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  auto view = MakeView(session.out(), session.json());
  return Follow(session, *client, options.job_id, options.after, absl::InfiniteFuture(), *view);
}

}  // namespace

void AddWatch(CLI::App& app, Session& session) {
  std::shared_ptr<WatchOptions> options;
  CLI::App* command = AddCommand<WatchOptions>(
      app, session, "watch",
      "Show a job's events and progress until it ends; Ctrl-C leaves the job running",
      "  dropbp watch quiet-maple-3f2a\n"
      "  dropbp watch quiet-maple-3f2a --output json | jq .message\n",
      Watch, options);
  AddJobArgument(command, options->job_id);
  command->add_option("--after", options->after, "Only events after this sequence number")
      ->check(CLI::NonNegativeNumber);
}

}  // namespace dropbp::client
