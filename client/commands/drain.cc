#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

struct DrainOptions {
  std::string worker_id;
  bool undo = false;
  bool keep_jobs = false;
};

absl::StatusOr<ExitCode> Drain(Session& session, const DrainOptions& options) {
  v1::DrainWorkerRequest request;
  request.set_worker_id(options.worker_id);
  request.set_undo(options.undo);
  request.set_keep_jobs(options.keep_jobs);
  ASSIGN_OR_RETURN(auto client, session.Connect());
  const absl::StatusOr<v1::Worker> worker = client->DrainWorker(request);
  if (absl::IsNotFound(worker.status())) return WithNextStep(worker.status(), "dropbp workers");
  RETURN_IF_ERROR(worker.status());
  if (session.json()) {
    PrintJson(*worker, session.out());
  } else {
    session.out().stream << worker->worker_id() << (worker->draining() ? " drains" : " is in use")
                         << std::endl;
    session.SuggestNext("dropbp workers");
  }
  return ExitCode::kOk;
}

}  // namespace

void AddDrain(CLI::App& app, Session& session) {
  std::shared_ptr<DrainOptions> options;
  CLI::App* command =
      AddCommand<DrainOptions>(app, session, "drain",
                               "Take a worker out of use: its jobs move to others, where "
                               "they go on from a checkpoint that is saved first, and it "
                               "gets no new ones",
                               "  dropbp drain node-7\n"
                               "  dropbp drain node-7 --keep-jobs\n"
                               "  dropbp drain node-7 --undo\n",
                               Drain, options);
  command->add_option("WORKER", options->worker_id, "The worker's name")->required();
  auto* undo = command->add_flag("--undo", options->undo, "Back into use");
  command->add_flag("--keep-jobs", options->keep_jobs, "Let jobs that run there go on to their end")
      ->excludes(undo);
}

}  // namespace dropbp::client
