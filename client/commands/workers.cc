#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/format.h"
#include "client/json.h"
#include "client/table.h"
#include "core/base/format_bytes.h"

namespace dropbp::client {
namespace {

struct WorkersOptions {};

Cell LinkOf(const v1::Worker& worker) {
  if (!worker.connected()) return Cell("down", Colour::kRed);
  return worker.draining() ? Cell("drains", Colour::kYellow) : Cell("up", Colour::kGreen);
}

void PrintWorkers(const v1::ListWorkersResponse& found, absl::Time now, const Sink& sink) {
  Table table({{"WORKER"},
               {"HOST"},
               {"LINK"},
               {"SEEN", Align::kRight},
               {"SLOT", Align::kRight},
               {"DEVICE"},
               {"MEMORY", Align::kRight},
               {"JOB"},
               {"MODELS"}});
  for (const v1::Worker& worker : found.workers()) {
    for (const v1::DeviceSlot& slot : worker.slots()) {
      table.Add({worker.worker_id(), worker.hostname(), LinkOf(worker),
                 FormatSeconds(now - FromProto(worker.last_seen_time())),
                 absl::StrCat(slot.index()), slot.device_name(), FormatBytes(slot.memory_bytes()),
                 slot.job_id().empty() ? "-" : absl::StrCat(slot.job_id(), " rank ", slot.rank()),
                 absl::StrJoin(worker.models(), ", ")});
    }
  }
  table.Print(sink);
}

absl::StatusOr<ExitCode> Workers(Session& session, const WorkersOptions&) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::ListWorkersResponse found, client->ListWorkers());
  if (session.json()) {
    PrintJson(found, session.out());
  } else if (found.workers().empty()) {
    session.Say("No workers.");
    session.SuggestNext(
        absl::StrCat("dropbp-worker --coordinator ", client->address(), " --models-dir DIR"));
  } else {
    PrintWorkers(found, absl::Now(), session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddWorkers(CLI::App& app, Session& session) {
  std::shared_ptr<WorkersOptions> options;
  AddCommand<WorkersOptions>(app, session, "workers",
                             "List the workers, one line a device slot, and what runs on each",
                             "  dropbp workers\n", Workers, options);
}

}  // namespace dropbp::client
