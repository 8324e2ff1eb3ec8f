#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/job_view.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

absl::StatusOr<ExitCode> Get(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(options.job_id));
  if (session.json()) {
    PrintJson(job, session.out());
  } else {
    PrintJob(job, session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddGet(CLI::App& app, Session& session) {
  std::shared_ptr<JobOptions> options;
  CLI::App* command =
      AddCommand<JobOptions>(app, session, "get", "Show one job: state and why, progress, results",
                             "  dropbp get quiet-maple-3f2a\n"
                             "  dropbp get quiet-maple-3f2a --output json\n",
                             Get, options);
  AddJobArgument(command, options->job_id);
}

}  // namespace dropbp::client
