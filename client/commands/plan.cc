#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/format.h"
#include "client/job_view.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

absl::StatusOr<ExitCode> Plan(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(options.job_id));
  if (!job.has_plan()) {
    return WithNextStep(
        absl::FailedPreconditionError(absl::StrCat(
            "job ", job.job_id(), " is ", StateName(job.state()),
            " and has no drop plan; one is made when the model and data have been checked")),
        absl::StrCat("dropbp get ", job.job_id()));
  }
  if (session.json()) {
    PrintJson(job.plan(), session.out());
  } else {
    PrintPlan(job, session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddPlan(CLI::App& app, Session& session) {
  std::shared_ptr<JobOptions> options;
  CLI::App* command = AddCommand<JobOptions>(
      app, session, "plan", "Show a job's drop rates, unit by unit, with cost and sensitivity",
      "  dropbp plan quiet-maple-3f2a\n"
      "  dropbp plan quiet-maple-3f2a --output json\n",
      Plan, options);
  AddJobArgument(command, options->job_id);
}

}  // namespace dropbp::client
