#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/format.h"
#include "client/json.h"
#include "client/table.h"
#include "core/base/format_bytes.h"

namespace dropbp::client {
namespace {

void PrintCheckpoints(const v1::ListCheckpointsResponse& found, const Sink& sink) {
  Table table({{"STEP", Align::kRight},
               {"SAVED"},
               {"ATTEMPT", Align::kRight},
               {"PARTS", Align::kRight},
               {"SIZE", Align::kRight},
               {"LOSS", Align::kRight},
               {"VALIDATION", Align::kRight},
               {""}});
  for (const v1::Checkpoint& checkpoint : found.checkpoints()) {
    const v1::Evaluation& evaluation = checkpoint.progress().evaluation();
    const bool evaluated =
        evaluation.step() == checkpoint.step() && evaluation.supervised_tokens() > 0;
    table.Add({absl::StrCat(checkpoint.step()), FormatTime(checkpoint.create_time()),
               absl::StrCat(checkpoint.attempt()), absl::StrCat(checkpoint.parts_size()),
               FormatBytes(checkpoint.size_bytes()), FormatLoss(checkpoint.progress().loss()),
               evaluated ? FormatLoss(evaluation.loss()) : "-", checkpoint.best() ? "best" : ""});
  }
  table.Print(sink);
}

absl::StatusOr<ExitCode> Checkpoints(Session& session, const JobOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse found,
                   client->ListCheckpoints(options.job_id));
  if (session.json()) {
    PrintJson(found, session.out());
  } else if (found.checkpoints().empty()) {
    session.Say("No checkpoints yet.");
    session.SuggestNext(absl::StrCat("dropbp watch ", options.job_id));
  } else {
    PrintCheckpoints(found, session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddCheckpoints(CLI::App& app, Session& session) {
  std::shared_ptr<JobOptions> options;
  CLI::App* command = AddCommand<JobOptions>(
      app, session, "checkpoints", "List a job's complete checkpoints that are kept, newest first",
      "  dropbp checkpoints quiet-maple-3f2a\n", Checkpoints, options);
  AddJobArgument(command, options->job_id);
}

}  // namespace dropbp::client
