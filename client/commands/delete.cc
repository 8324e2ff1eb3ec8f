#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/format.h"
#include "client/json.h"
#include "client/table.h"
#include "core/base/format_bytes.h"

namespace dropbp::client {
namespace {

struct DeleteOptions {
  std::vector<std::string> job_ids;
  bool yes = false;
};

template <typename Files>
int64_t BytesOf(const Files& files) {
  int64_t bytes = 0;
  for (const auto& file : files) bytes += file.size_bytes();
  return bytes;
}

// What would go, for people who have not said --yes.
absl::StatusOr<ExitCode> Show(Session& session, JobClient& client, const DeleteOptions& options) {
  Table table({{"JOB"},
               {"STATE"},
               {"CREATED"},
               {"RESULTS", Align::kRight},
               {"CHECKPOINTS", Align::kRight}});
  for (const std::string& job_id : options.job_ids) {
    ASSIGN_OR_RETURN(const v1::Job job, client.GetJob(job_id));
    ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse saved, client.ListCheckpoints(job_id));
    table.Add({job_id, StateName(job.state()), FormatTime(job.create_time()),
               FormatBytes(BytesOf(job.artifacts())), FormatBytes(BytesOf(saved.checkpoints()))});
  }
  table.Print(session.err());
  return WithNextStep(
      absl::InvalidArgumentError(
          "Nothing was deleted yet; deleting cannot be undone, and needs --yes."),
      absl::StrCat("dropbp delete ", absl::StrJoin(options.job_ids, " "), " --yes"));
}

absl::StatusOr<ExitCode> Delete(Session& session, const DeleteOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  if (!options.yes) return Show(session, *client, options);
  for (const std::string& job_id : options.job_ids) {
    const absl::StatusOr<v1::Job> job = client->DeleteJob(job_id);
    if (absl::IsFailedPrecondition(job.status()))
      return WithNextStep(job.status(), absl::StrCat("dropbp get ", job_id));
    RETURN_IF_ERROR(job.status());
    if (session.json()) {
      PrintJson(*job, session.out());
    } else {
      session.out().stream << job_id << " deleted" << std::endl;
    }
  }
  return ExitCode::kOk;
}

}  // namespace

void AddDelete(CLI::App& app, Session& session) {
  std::shared_ptr<DeleteOptions> options;
  CLI::App* command = AddCommand<DeleteOptions>(
      app, session, "delete",
      "Remove jobs that have ended, for good: record, logs, results and checkpoints, and data that "
      "no other job uses",
      "  dropbp delete quiet-maple-3f2a               (shows what would go)\n"
      "  dropbp delete quiet-maple-3f2a --yes\n"
      "  dropbp list --state failed --output json | jq -r '.jobs[].job_id' | xargs dropbp delete "
      "--yes\n",
      Delete, options);
  command->add_option("JOB", options->job_ids, "The jobs' ids")->required();
  command->add_flag("--yes", options->yes, "Delete, and do not only show what would go");
}

}  // namespace dropbp::client
