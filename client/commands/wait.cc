#include "absl/time/clock.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/format.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

struct WaitOptions {
  std::string job_id;
  double timeout_seconds = 0;
};

// Shows nothing: who waits wants the end only.
class SilentView : public WatchView {
 public:
  void Show(const v1::JobEvent&) override {}
};

absl::StatusOr<ExitCode> Wait(Session& session, const WaitOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  const absl::Time deadline = options.timeout_seconds > 0
                                  ? absl::Now() + absl::Seconds(options.timeout_seconds)
                                  : absl::InfiniteFuture();
  SilentView view;
  ASSIGN_OR_RETURN(const ExitCode code,
                   Follow(session, *client, options.job_id, 0, deadline, view));
  if (code == ExitCode::kInterrupted) return code;
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(options.job_id));
  if (session.json()) {
    PrintJson(job, session.out());
  } else {
    session.out().stream << StateName(job.state()) << std::endl;
  }
  return code;
}

}  // namespace

void AddWait(CLI::App& app, Session& session) {
  std::shared_ptr<WaitOptions> options;
  CLI::App* command = AddCommand<WaitOptions>(
      app, session, "wait",
      "Wait until a job ends; prints its final state, the exit code tells it too",
      "  dropbp wait quiet-maple-3f2a && dropbp download quiet-maple-3f2a\n"
      "  dropbp wait quiet-maple-3f2a --timeout 600\n",
      Wait, options);
  AddJobArgument(command, options->job_id);
  command->add_option("--timeout", options->timeout_seconds, "Seconds to wait; 0: without limit")
      ->check(CLI::Range(0.0, 1e9));
}

}  // namespace dropbp::client
