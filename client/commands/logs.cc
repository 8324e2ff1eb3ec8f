#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/format.h"
#include "client/log_cursor.h"
#include "client/log_view.h"

namespace dropbp::client {
namespace {

struct LogsOptions {
  std::string job_id;
  int rank = -1;
  bool follow = false;
  int tail = 0;
};

// Shows the last lines of what is there now and leaves the cursor behind them. Followed logs are
// cut here and not by the coordinator, because only a log that is read from its beginning can be
// resumed after a cut.
absl::Status ShowTail(JobClient& client, const v1::ReadJobLogsRequest& request, int lines,
                      const LogView& view, LogCursor& cursor) {
  v1::ReadJobLogsRequest whole = request;
  whole.set_follow(false);
  LogTail tail(lines);
  RETURN_IF_ERROR(
      client.ReadLogs(whole, cursor, [&](const v1::ReadJobLogsResponse& part) { tail.Add(part); }));
  for (const v1::ReadJobLogsResponse& line : tail.Take()) view.Show(line);
  return absl::OkStatus();
}

absl::Status ShowLogs(JobClient& client, v1::ReadJobLogsRequest request, int tail,
                      const LogView& view) {
  LogCursor cursor;
  if (tail > 0 && request.follow()) {
    RETURN_IF_ERROR(ShowTail(client, request, tail, view, cursor));
  } else {
    request.set_tail_lines(tail);
  }
  return client.ReadLogs(request, cursor,
                         [&](const v1::ReadJobLogsResponse& part) { view.Show(part); });
}

absl::Status CheckRank(const LogsOptions& options, const v1::Job& job) {
  const int64_t last = job.spec().resources().ranks() - 1;
  if (options.rank <= last) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--rank: found ", options.rank, ", job ", job.job_id(), " has ",
                   last == 0 ? "rank 0 only" : absl::StrCat("ranks 0 to ", last)));
}

absl::StatusOr<ExitCode> Logs(Session& session, const LogsOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(options.job_id));
  RETURN_IF_ERROR(CheckRank(options, job));
  if (job.attempt() == 0) {
    session.Say(absl::StrCat("No trainer of job ", job.job_id(), " has started: it is ",
                             StateName(job.state()), ". ", job.state_message()));
  }
  v1::ReadJobLogsRequest request;
  request.set_job_id(options.job_id);
  request.set_follow(options.follow);
  if (options.rank >= 0) request.set_rank(options.rank);
  const LogView view(session.out(), options.rank < 0 && job.spec().resources().ranks() > 1,
                     session.json());
  InterruptGuard interrupts(session.stop());
  const absl::Status status = ShowLogs(*client, request, options.tail, view);
  if (session.stop().Requested()) {
    session.Say(absl::StrCat("Left; job ", options.job_id, " is not touched by that."));
    return ExitCode::kInterrupted;
  }
  RETURN_IF_ERROR(status);
  return ExitCode::kOk;
}

}  // namespace

void AddLogs(CLI::App& app, Session& session) {
  std::shared_ptr<LogsOptions> options;
  CLI::App* command =
      AddCommand<LogsOptions>(app, session, "logs", "Print what a job's trainers wrote",
                              "  dropbp logs quiet-maple-3f2a\n"
                              "  dropbp logs quiet-maple-3f2a --rank 0 --tail 20 --follow\n",
                              Logs, options);
  AddJobArgument(command, options->job_id);
  command->add_option("--rank", options->rank, "Only this rank")->check(CLI::NonNegativeNumber);
  command->add_flag("-f,--follow", options->follow,
                    "Go on until the job ends; Ctrl-C leaves the job running");
  command->add_option("--tail", options->tail, "Only the last lines of each rank")
      ->check(CLI::PositiveNumber);
}

}  // namespace dropbp::client
