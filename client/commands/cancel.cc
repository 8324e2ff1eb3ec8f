#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/commands/steered.h"

namespace dropbp::client {
namespace {

absl::StatusOr<ExitCode> Cancel(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::Job job,
                   PrintSteered(session, options, client->CancelJob(options.job_id)));
  if (!IsFinal(job.state())) session.SuggestNext(absl::StrCat("dropbp wait ", job.job_id()));
  return ExitCode::kOk;
}

}  // namespace

void AddCancel(CLI::App& app, Session& session) {
  std::shared_ptr<JobOptions> options;
  CLI::App* command =
      AddCommand<JobOptions>(app, session, "cancel", "End a job; its processes stop within seconds",
                             "  dropbp cancel quiet-maple-3f2a\n", Cancel, options);
  AddJobArgument(command, options->job_id);
}

}  // namespace dropbp::client
