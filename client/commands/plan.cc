#include <cmath>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/format.h"
#include "client/job_input.h"
#include "client/job_options.h"
#include "client/json.h"
#include "client/plan_view.h"
#include "proto/support/job_spec_proto.h"

namespace dropbp::client {
namespace {

struct PlanOptions {
  std::string job_id;
  bool dry_run = false;
  JobArguments job;
};

absl::StatusOr<ExitCode> ShowPlan(Session& session, const std::string& job_id) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(job_id));
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

// Lines with text: the samples of a file, but for those that a check leaves out.
int64_t CountSamples(const std::string& path) {
  std::ifstream file(path);
  int64_t samples = 0;
  for (std::string line; std::getline(file, line);) samples += line.empty() ? 0 : 1;
  return samples;
}

// Of one pass over a job's data; 0 if a file is not here.
int64_t CountSamples(const JobInput& input) {
  const std::map<std::string, double>& mix = input.job.spec.dataset.mix;
  if (input.dataset_path.empty() || input.mix.size() < mix.size()) return 0;
  int64_t samples = CountSamples(input.dataset_path);
  for (const auto& [path, file] : input.mix) {
    samples += std::llround(mix.at(file.sha256()) * static_cast<double>(CountSamples(path)));
  }
  return samples;
}

// Whether memory may be short is told by the check of a job, which asks for a data set by its name
// alone: any will do.
void SayMemoryWarning(Session& session, JobClient& client, const JobInput& input) {
  v1::CreateJobRequest request = MakeCreateRequest(input);
  request.set_validate_only(true);
  std::string& artifact = *request.mutable_spec()->mutable_dataset()->mutable_artifact();
  if (artifact.empty()) artifact = std::string(64, '0');
  const absl::StatusOr<v1::Job> job = client.CreateJob(request);
  if (job.ok() && !job->state_message().empty()) session.Say(job->state_message());
}

absl::StatusOr<ExitCode> ShowDryPlan(Session& session, const PlanOptions& options) {
  ASSIGN_OR_RETURN(const JobInput input, LoadJob(options.job));
  v1::PlanJobRequest request;
  *request.mutable_spec() = JobSpecToProto(input.job.spec);
  request.set_samples(CountSamples(input));
  ASSIGN_OR_RETURN(auto client, session.Connect());
  absl::StatusOr<v1::PlanJobResponse> plan = client->PlanJob(request);
  if (absl::IsNotFound(plan.status())) return WithNextStep(plan.status(), "dropbp workers");
  RETURN_IF_ERROR(plan.status());
  if (session.json()) {
    PrintJson(*plan, session.out());
  } else {
    PrintDryPlan(*plan, session.out());
  }
  SayMemoryWarning(session, *client, input);
  session.SuggestNext(absl::StrCat("dropbp submit -f ", options.job.file));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Plan(Session& session, const PlanOptions& options) {
  const bool has_input = !options.job.file.empty() || !options.job.dataset.empty() ||
                         !options.job.validation.empty() || !options.job.sets.empty();
  if (options.dry_run && options.job_id.empty() && !options.job.file.empty()) {
    return ShowDryPlan(session, options);
  }
  if (!options.dry_run && !options.job_id.empty() && !has_input) {
    return ShowPlan(session, options.job_id);
  }
  return WithNextStep(
      absl::InvalidArgumentError("plan: legal is either JOB alone, or --dry-run with -f FILE"),
      "dropbp plan --help");
}

}  // namespace

void AddPlan(CLI::App& app, Session& session) {
  std::shared_ptr<PlanOptions> options;
  CLI::App* command = AddCommand<PlanOptions>(
      app, session, "plan",
      "Show drop rates unit by unit with cost and sensitivity; or what a job would cost",
      "  dropbp plan quiet-maple-3f2a\n"
      "  dropbp plan quiet-maple-3f2a --output json\n"
      "  dropbp plan --dry-run -f job.yaml --set dropbp.drop_rate=0.75\n",
      Plan, options);
  options->job.dataset_needed = false;
  command->add_option("JOB", options->job_id, "The job's id");
  command->add_flag("--dry-run", options->dry_run,
                    "Plan a job file before anything is uploaded or runs: speed limit, traffic "
                    "factor, memory");
  AddJobOptions(*command, options->job)->required(false);
}

}  // namespace dropbp::client
