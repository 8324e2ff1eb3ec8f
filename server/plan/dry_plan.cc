#include "server/plan/dry_plan.h"

#include <map>

#include "core/job/evaluation_schedule.h"
#include "core/plan/mask_plan.h"
#include "core/plan/memory_estimate.h"
#include "core/plan/memory_verdict.h"
#include "core/plan/plan_stages.h"
#include "core/plan/traffic.h"
#include "proto/support/job_spec_proto.h"
#include "server/plan/describe_plan.h"
#include "server/plan/job_planner.h"

namespace dropbp::server {
namespace {

constexpr int64_t kGradientBytes = 4;  // gradients are fp32

v1::MemoryEstimate ToProto(const MemoryEstimate& estimate) {
  v1::MemoryEstimate message;
  message.set_weights_bytes(estimate.weights);
  message.set_trainable_bytes(estimate.trainable);
  message.set_optimizer_bytes(estimate.optimizer);
  message.set_gradient_bytes(estimate.gradients);
  message.set_activation_bytes(estimate.activations);
  message.set_head_bytes(estimate.head);
  message.set_peak_bytes(estimate.peak);
  return message;
}

// One plan for the whole job at one target, as it is before anything is measured.
absl::StatusOr<DropPlan> UnprobedPlan(const LayerTable& table, const JobSpec& spec, double target) {
  return MakeStagePlan(table, spec, {.target = target}, {});
}

JobSpec WithoutDropping(JobSpec spec) {
  spec.dropbp.drop_rate = 0;
  return spec;
}

// The steps that follow from the job, or from the samples; 0 if neither says. How many rows samples
// will be packed into is not known before they are tokenised.
int64_t StepsOf(const JobSpec& spec, int64_t samples) {
  const bool known = spec.training.steps > 0 || (samples > 0 && !spec.dataset.packing);
  return known ? TotalSteps(spec, samples) : 0;
}

absl::Status AddStages(const JobSpec& spec, const v1::ModelShape& shape, int64_t samples,
                       v1::DropPlan& message) {
  v1::DatasetReport data;
  data.set_samples(samples);
  ASSIGN_OR_RETURN(const JobPlanner planner, JobPlanner::Make(spec, shape, data));
  const v1::DropPlan first = planner.Describe();
  *message.mutable_stages() = first.stages();
  message.set_stage_count(first.stage_count());
  return absl::OkStatus();
}

// How many steps a job spends at each target of its schedule. Where its number of steps is not
// known, of so many that shares of the schedule come out well.
std::map<double, int64_t> StepsByTarget(JobSpec spec, int64_t total_steps) {
  constexpr int64_t kNominalSteps = 1000;
  if (total_steps == 0) total_steps = kNominalSteps;
  spec.dropbp.allocation = "uniform";  // probes do not matter here
  const std::vector<PlanStage> stages = PlanStages(spec, total_steps);
  std::map<double, int64_t> steps;
  for (size_t i = 0; i < stages.size(); ++i) {
    const int64_t end = i + 1 < stages.size() ? stages[i + 1].first_step : total_steps;
    steps[stages[i].target] += end - stages[i].first_step;
  }
  return steps;
}

// What the whole schedule comes to, before anything is measured.
struct CourseSummary {
  double traffic = 0;      // mean over the steps
  double speed_limit = 0;  // of the job
};

absl::StatusOr<CourseSummary> SummarizeCourse(const JobSpec& spec, const LayerTable& table,
                                              int64_t total_steps) {
  CourseSummary course;
  double steps = 0;
  double time = 0;  // a step at rate 0 takes 1
  for (const auto& [target, count] : StepsByTarget(spec, total_steps)) {
    ASSIGN_OR_RETURN(const DropPlan plan, UnprobedPlan(table, spec, target));
    const auto weight = static_cast<double>(count);
    course.traffic += weight * TrafficFactor(table, plan, MaskRows(spec));
    time += weight / SpeedLimit(table, plan, /*supervised_share=*/1);
    steps += weight;
  }
  course.traffic /= steps;
  course.speed_limit = steps / time;
  return course;
}

}  // namespace

absl::StatusOr<v1::PlanJobResponse> MakeDryPlan(const JobSpec& spec, const v1::ModelShape& shape,
                                                int64_t samples, bool cuda) {
  samples -= HeldOutSamples(spec.dataset.validation_share, samples);
  const ModelShape model = ModelShapeFromProto(shape);
  ASSIGN_OR_RETURN(const LayerTable table, BuildLayerTable(model, spec, spec.dataset.max_length));
  ASSIGN_OR_RETURN(const DropPlan plan, UnprobedPlan(table, spec, spec.dropbp.drop_rate));
  v1::PlanJobResponse response;
  *response.mutable_spec() = JobSpecToProto(spec);
  *response.mutable_plan() = DescribePlan(spec, table, plan, /*supervised_share=*/1);
  response.set_total_steps(StepsOf(spec, samples));
  if (response.total_steps() > 0) {
    RETURN_IF_ERROR(AddStages(spec, shape, samples, *response.mutable_plan()));
  }
  response.set_dense_gradient_bytes(kGradientBytes * table.TrainableElements());
  response.set_parameters(ParameterCount(model));
  response.set_trainable_parameters(table.TrainableElements());
  response.set_dtype(spec.dtype == "auto" ? (cuda ? "bf16" : "fp32") : spec.dtype);
  const ComputeSite site = {.dtype_bytes = response.dtype() == "bf16" ? 2 : 4, .cuda = cuda};
  ASSIGN_OR_RETURN(const CourseSummary course,
                   SummarizeCourse(spec, table, response.total_steps()));
  ASSIGN_OR_RETURN(const MemoryEstimate memory,
                   EstimateJobMemory(model, spec, response.total_steps(), site));
  ASSIGN_OR_RETURN(const MemoryEstimate dense,
                   EstimateJobMemory(model, WithoutDropping(spec), 0, site));
  response.set_traffic_factor(course.traffic);
  response.mutable_plan()->set_speed_limit(course.speed_limit);
  *response.mutable_memory() = ToProto(memory);
  *response.mutable_memory_without_dropping() = ToProto(dense);
  return response;
}

}  // namespace dropbp::server
