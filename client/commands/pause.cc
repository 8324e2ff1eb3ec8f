#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/format.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

void PrintState(Session& session, const v1::Job& job) {
  if (session.json()) {
    PrintJson(job, session.out());
  } else {
    session.out().stream << job.job_id() << ' ' << StateName(job.state()) << std::endl;
  }
}

absl::StatusOr<ExitCode> Pause(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  const absl::StatusOr<v1::Job> job = client->PauseJob(options.job_id);
  if (absl::IsFailedPrecondition(job.status())) {
    return WithNextStep(job.status(), absl::StrCat("dropbp get ", options.job_id));
  }
  RETURN_IF_ERROR(job.status());
  PrintState(session, *job);
  session.SuggestNext(absl::StrCat("dropbp resume ", job->job_id()));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Resume(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  const absl::StatusOr<v1::Job> job = client->ResumeJob(options.job_id);
  if (absl::IsFailedPrecondition(job.status())) {
    return WithNextStep(job.status(), absl::StrCat("dropbp get ", options.job_id));
  }
  RETURN_IF_ERROR(job.status());
  PrintState(session, *job);
  session.SuggestNext(absl::StrCat("dropbp watch ", job->job_id()));
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
