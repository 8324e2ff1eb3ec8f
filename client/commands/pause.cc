#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/commands/steered.h"

namespace dropbp::client {
namespace {

absl::StatusOr<ExitCode> Pause(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  RETURN_IF_ERROR(PrintSteered(session, options, client->PauseJob(options.job_id)).status());
  session.SuggestNext(absl::StrCat("dropbp resume ", options.job_id));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Resume(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  RETURN_IF_ERROR(PrintSteered(session, options, client->ResumeJob(options.job_id)).status());
  session.SuggestNext(absl::StrCat("dropbp watch ", options.job_id));
  return ExitCode::kOk;
}

}  // namespace

void AddPause(CLI::App& app, Session& session) {
  std::shared_ptr<JobOptions> options;
  CLI::App* command = AddCommand<JobOptions>(
      app, session, "pause", "Save a checkpoint of a job and free its devices until it is resumed",
      "  dropbp pause quiet-maple-3f2a\n", Pause, options);
  AddJobArgument(command, options->job_id);
}

void AddResume(CLI::App& app, Session& session) {
  std::shared_ptr<JobOptions> options;
  CLI::App* command = AddCommand<JobOptions>(
      app, session, "resume",
      "Put a paused job back into the queue; it goes on from its newest checkpoint",
      "  dropbp resume quiet-maple-3f2a\n", Resume, options);
  AddJobArgument(command, options->job_id);
}

}  // namespace dropbp::client
