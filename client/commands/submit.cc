#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/follow.h"
#include "client/job_input.h"
#include "client/job_options.h"
#include "client/job_view.h"
#include "client/json.h"
#include "client/random_name.h"
#include "client/transfer_meter.h"

namespace dropbp::client {
namespace {

struct SubmitOptions {
  JobArguments job;
  bool dry_run = false;
  bool follow = false;
};

// Nothing for an empty path.
absl::Status Upload(Session& session, JobClient& client, const std::string& path,
                    const v1::Artifact& file) {
  if (path.empty()) return absl::OkStatus();
  TransferMeter meter(absl::StrCat("upload of ", file.name()), session.err());
  return client.Upload(path, file, [&](int64_t done, int64_t total) { meter.Show(done, total); })
      .status();
}

absl::Status UploadData(Session& session, JobClient& client, const JobInput& input) {
  RETURN_IF_ERROR(Upload(session, client, input.dataset_path, input.dataset));
  RETURN_IF_ERROR(Upload(session, client, input.validation_path, input.validation));
  for (const auto& [path, file] : input.mix) RETURN_IF_ERROR(Upload(session, client, path, file));
  return absl::OkStatus();
}

absl::StatusOr<v1::Job> Create(JobClient& client, v1::CreateJobRequest request) {
  if (request.job_id().empty()) request.set_job_id(RandomJobId());
  absl::StatusOr<v1::Job> job = client.CreateJob(request);
  if (absl::IsAlreadyExists(job.status())) {
    return WithNextStep(job.status(), absl::StrCat("dropbp get ", request.job_id(),
                                                   ", or submit under another --name"));
  }
  return job;
}

absl::StatusOr<ExitCode> DryRun(Session& session, JobClient& client, v1::CreateJobRequest request) {
  request.set_validate_only(true);
  ASSIGN_OR_RETURN(v1::Job job, client.CreateJob(request));
  if (session.json()) {
    PrintJson(job, session.out());
  } else {
    PrintJson(job.spec(), session.out());
  }
  session.Say("Dry run: the job is legal; nothing was uploaded or created.");
  if (!job.state_message().empty()) session.Say(job.state_message());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Submit(Session& session, const SubmitOptions& options) {
  ASSIGN_OR_RETURN(const JobInput input, LoadJob(options.job));
  ASSIGN_OR_RETURN(auto client, session.Connect());
  const v1::CreateJobRequest request = MakeCreateRequest(input);
  if (options.dry_run) return DryRun(session, *client, request);
  RETURN_IF_ERROR(UploadData(session, *client, input));
  ASSIGN_OR_RETURN(const v1::Job job, Create(*client, request));
  if (session.json()) {
    PrintJson(job, session.out());
  } else {
    session.out().stream << job.job_id() << std::endl;
  }
  if (!options.follow) {
    session.SuggestNext(absl::StrCat("dropbp watch ", job.job_id(), "  or  dropbp logs ",
                                     job.job_id(), " --follow"));
    return ExitCode::kOk;
  }
  // The id is the command's data; how the job goes is talk.
  auto view = MakeView(session.err(), /*json=*/false);
  return Follow(session, *client, job.job_id(), 0, absl::InfiniteFuture(), *view);
}

}  // namespace

void AddSubmit(CLI::App& app, Session& session) {
  std::shared_ptr<SubmitOptions> options;
  CLI::App* command = AddCommand<SubmitOptions>(
      app, session, "submit", "Upload a data set and create a job; prints the job's id",
      "  dropbp submit -f job.yaml\n"
      "  dropbp submit -f job.yaml --follow\n"
      "  dropbp submit -f job.yaml --name trial-2 --set "
      "dropbp.drop_rate=0.75 --set training.steps=200\n",
      Submit, options);
  AddJobOptions(*command, options->job);
  command->add_option("--name", options->job.name,
                      "Id of the job; a random readable one if none is given");
  command->add_flag("--dry-run", options->dry_run,
                    "Check everything and print the whole specification; create nothing");
  command->add_flag("--follow", options->follow,
                    "Watch the job until it ends; the exit code tells its end");
}

}  // namespace dropbp::client
