#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/job_input.h"
#include "client/job_options.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

struct ValidateOptions {
  JobArguments job;
};

// The coordinator's opinion; UNAVAILABLE at once if there is none to ask.
absl::StatusOr<v1::Job> AskCoordinator(Session& session, const v1::CreateJobRequest& request) {
  session.options().retry_seconds = 0;
  ASSIGN_OR_RETURN(auto client, session.Connect());
  return client->CreateJob(request);
}

absl::StatusOr<ExitCode> Validate(Session& session, const ValidateOptions& options) {
  ASSIGN_OR_RETURN(const JobInput input, LoadJob(options.job));
  v1::CreateJobRequest request = MakeCreateRequest(input);
  request.set_validate_only(true);
  const absl::StatusOr<v1::Job> job = AskCoordinator(session, request);
  const bool asked = !absl::IsUnavailable(job.status());
  if (asked && !job.ok()) return job.status();
  if (session.json()) {
    PrintJson(asked ? job->spec() : request.spec(), session.out());
  } else {
    session.out().stream << options.job.file << ": ok\n";
  }
  if (!asked) {
    session.Say(absl::StrCat("Checked here only: no coordinator answers at ",
                             session.options().coordinator.address, "."));
  } else if (!job->state_message().empty()) {  // what may go wrong with a legal job
    session.Say(job->state_message());
  }
  session.SuggestNext(absl::StrCat("dropbp submit -f ", options.job.file));
  return ExitCode::kOk;
}

}  // namespace

void AddValidate(CLI::App& app, Session& session) {
  std::shared_ptr<ValidateOptions> options;
  CLI::App* command = AddCommand<ValidateOptions>(
      app, session, "validate",
      "Check a job file, here and by the coordinator if one answers; creates nothing",
      "  dropbp validate -f job.yaml\n"
      "  dropbp validate -f job.yaml --set training.steps=20\n",
      Validate, options);
  AddJobOptions(*command, options->job);
}

}  // namespace dropbp::client
