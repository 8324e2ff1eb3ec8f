// Coordinator: the plans of running jobs. What ranks report of theirs is compared; the first
// difference ends the job with both values.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/job/job_fields.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "server/plan/dry_plan.h"
#include "server/run/coordinator.h"
#include "server/run/job_memory.h"

namespace dropbp::server {
namespace {

std::string Announcement(const v1::DropPlan& plan, bool probed) {
  return absl::StrCat(probed ? "Sensitivities are measured: plan " : "Plan ", plan.version(), " (",
                      plan.allocation(), ") from step ", plan.first_step(), ", target ",
                      plan.target_drop_rate(), ", planned drop rate ", plan.planned_drop_rate(),
                      ".");
}

// Every rule but the one that asks for an uploaded data set.
std::vector<FieldViolation> DryViolations(const JobSpec& spec) {
  std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  if (!spec.dataset.artifact.empty()) return violations;
  std::erase_if(violations,
                [](const FieldViolation& one) { return one.field == "dataset.artifact"; });
  return violations;
}

constexpr int64_t kMostSamples = 1'000'000'000'000;

bool HasOnlyCuda(const v1::WorkerHello& hello) {
  return !hello.slots().empty() &&
         std::all_of(hello.slots().begin(), hello.slots().end(), [](const v1::DeviceSlot& slot) {
           return slot.kind() == v1::DeviceSlot::CUDA;
         });
}

// A model as the connected workers know it.
struct FoundModel {
  const v1::ModelShape* shape = nullptr;
  std::string error;            // of a worker that cannot use its config.json
  bool only_cuda = true;        // of all workers that have it
  std::set<std::string> known;  // what there is instead
};

FoundModel FindModel(const std::map<std::string, KnownWorker>& workers, const std::string& name) {
  FoundModel found;
  for (const auto& [id, worker] : workers) {
    if (!worker.connected()) continue;
    for (const v1::WorkerModel& model : worker.hello.model_configs()) {
      if (model.has_shape()) found.known.insert(model.name());
      if (model.name() != name) continue;
      if (!model.error().empty()) found.error = absl::StrCat("worker '", id, "': ", model.error());
      if (!model.has_shape()) continue;
      if (found.shape == nullptr) found.shape = &model.shape();
      found.only_cuda &= HasOnlyCuda(worker.hello);
    }
  }
  return found;
}

absl::Status ModelNotFound(const std::string& name, const FoundModel& found) {
  const std::string what =
      found.error.empty()
          ? absl::StrCat("found '", name, "', the connected workers have ",
                         found.known.empty() ? "none" : absl::StrJoin(found.known, ", "))
          : absl::StrCat("found '", name, "', which cannot be used: ", found.error);
  return WithReason(absl::NotFoundError(absl::StrCat("model: ", what)), "MODEL_NOT_FOUND");
}

}  // namespace

absl::StatusOr<v1::PlanJobResponse> Coordinator::PlanJob(const v1::PlanJobRequest& request) {
  const JobSpec spec = JobSpecFromProto(request.spec());
  std::vector<FieldViolation> violations = DryViolations(spec);
  if (request.samples() < 0 || request.samples() > kMostSamples) {
    violations.push_back(
        {"samples", absl::StrCat("found ", request.samples(), ", legal is 0 to ", kMostSamples)});
  }
  if (!violations.empty()) return InvalidFields(violations);
  absl::MutexLock lock(&mutex_);
  const FoundModel found = FindModel(workers_.all(), spec.model);
  if (found.shape == nullptr) return ModelNotFound(spec.model, found);
  return MakeDryPlan(spec, *found.shape, request.samples(), found.only_cuda);
}

std::string Coordinator::DryRunWarning(const JobSpec& spec) {
  const FoundModel found = FindModel(workers_.all(), spec.model);
  if (found.shape != nullptr) return DryMemoryWarning(spec, workers_.all());
  if (found.known.empty() && found.error.empty()) return "";  // perhaps workers come later
  return absl::StrCat("No worker could run it now: ", ModelNotFound(spec.model, found).message(),
                      ".");
}

absl::Status Coordinator::OnProbe(LiveRun& live, const v1::ProbeReport& report) {
  if (!live.planner) return absl::OkStatus();
  // Tried on a copy: the report comes again if the store fails.
  JobPlanner planner = *live.planner;
  absl::StatusOr<std::optional<v1::Sensitivities>> found = planner.AddProbe(report);
  if (!found.ok()) return Apply(live, PromiseBroken{std::string(found.status().message())});
  if (!found->has_value()) return absl::OkStatus();
  const v1::DropPlan plan = planner.Describe();
  RETURN_IF_ERROR(Apply(live, PlanChanged{.plan = plan,
                                          .message = Announcement(plan, /*probed=*/true),
                                          .sensitivities = *std::move(found)}));
  live.planner = std::move(planner);
  PumpMasks(live);
  return absl::OkStatus();
}

absl::Status Coordinator::AnnouncePlan(LiveRun& live) {
  if (!live.planner || !live.run.Active()) return absl::OkStatus();
  live.planner->Advance(live.run.job.progress().step());
  if (live.planner->version() == live.run.job.plan().version()) return absl::OkStatus();
  const v1::DropPlan plan = live.planner->Describe();
  return Apply(live, PlanChanged{.plan = plan,
                                 .message = Announcement(plan, /*probed=*/false),
                                 .sensitivities = std::nullopt});
}

absl::Status Coordinator::OnDigest(LiveRun& live, int rank, const v1::PlanDigest& digest) {
  if (!live.planner) return absl::OkStatus();
  const absl::Status same = live.planner->CheckDigest(rank, digest);
  return same.ok() ? same : Apply(live, PromiseBroken{std::string(same.message())});
}

}  // namespace dropbp::server
