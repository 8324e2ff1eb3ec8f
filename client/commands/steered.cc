#include "client/commands/steered.h"

#include "absl/strings/str_cat.h"
#include "client/errors.h"
#include "client/format.h"
#include "client/json.h"

namespace dropbp::client {

absl::StatusOr<v1::Job> PrintSteered(Session& session, const JobOptions& options,
                                     absl::StatusOr<v1::Job> job) {
  if (absl::IsFailedPrecondition(job.status())) {
    return WithNextStep(job.status(), absl::StrCat("dropbp get ", options.job_id));
  }
  if (!job.ok()) return job;
  if (session.json()) {
    PrintJson(*job, session.out());
  } else {
    session.out().stream << job->job_id() << ' ' << StateName(job->state()) << std::endl;
  }
  return job;
}

}  // namespace dropbp::client
