#include <algorithm>
#include <iterator>

#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/job_view.h"
#include "client/json.h"
#include "client/progress.h"

namespace dropbp::client {
namespace {

// Of the trainer whose end failed the job: the event before the job's last one has them.
absl::StatusOr<std::vector<std::string>> LastLines(JobClient& client, const v1::Job& job) {
  std::vector<std::string> lines;
  if (job.state() != v1::Job::FAILED) return lines;
  const auto keep = [&](const v1::JobEvent& event) {
    if (event.type() != v1::JobEvent::INCIDENT) return;
    lines = EventLines(event);
    // Its sentence is in the job's own, and then it says what follows.
    lines.erase(lines.begin(), lines.begin() + std::min<ptrdiff_t>(2, std::ssize(lines)));
  };
  RETURN_IF_ERROR(
      client.WatchToEnd(job.job_id(), job.last_event() - 2, absl::InfiniteFuture(), keep).status());
  return lines;
}

struct GetOptions : JobOptions {
  bool job_file = false;
};

absl::StatusOr<ExitCode> Get(Session& session, const GetOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(options.job_id));
  if (options.job_file) {
    session.out().stream << JobFileOf(job);
  } else if (session.json()) {
    PrintJson(job, session.out());
  } else {
    ASSIGN_OR_RETURN(const std::vector<std::string> last_lines, LastLines(*client, job));
    PrintJob(job, last_lines, session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddGet(CLI::App& app, Session& session) {
  std::shared_ptr<GetOptions> options;
  CLI::App* command =
      AddCommand<GetOptions>(app, session, "get", "Show one job: state and why, progress, results",
                             "  dropbp get quiet-maple-3f2a\n"
                             "  dropbp get quiet-maple-3f2a --output json\n"
                             "  dropbp get quiet-maple-3f2a --job-file > again.yaml\n",
                             Get, options);
  AddJobArgument(command, options->job_id);
  command->add_flag("--job-file", options->job_file,
                    "Print what the job was asked to do, as a job file that submit takes");
}

}  // namespace dropbp::client
