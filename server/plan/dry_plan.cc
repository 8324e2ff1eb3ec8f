#include "server/plan/dry_plan.h"

#include "core/plan/mask_plan.h"
#include "core/plan/memory_estimate.h"
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

// One plan for the whole job: uniform rates at one target.
absl::StatusOr<DropPlan> UniformPlan(const LayerTable& table, const JobSpec& spec, double target) {
  return MakeStagePlan(table, spec, {.target = target}, {});
}

// The steps that follow from the job, or from the samples; 0 if neither says.
int64_t StepsOf(const JobSpec& spec, int64_t samples) {
  return spec.training.steps > 0 || samples > 0 ? TotalSteps(spec, samples) : 0;
}

void AddStages(const JobSpec& spec, const v1::ModelShape& shape, int64_t samples,
               v1::DropPlan& message) {
  v1::DatasetReport data;
  data.set_samples(samples);
  const auto planner = JobPlanner::Make(spec, shape, data);
  if (!planner.ok()) return;
  const v1::DropPlan first = planner->Describe();
  *message.mutable_stages() = first.stages();
  message.set_stage_count(first.stage_count());
}

}  // namespace

absl::StatusOr<v1::PlanJobResponse> MakeDryPlan(const JobSpec& spec, const v1::ModelShape& shape,
                                                int64_t samples, const std::string& auto_dtype) {
  const ModelShape model = ModelShapeFromProto(shape);
  ASSIGN_OR_RETURN(const LayerTable table, BuildLayerTable(model, spec, spec.dataset.max_length));
  ASSIGN_OR_RETURN(const DropPlan plan, UniformPlan(table, spec, spec.dropbp.drop_rate));
  ASSIGN_OR_RETURN(const DropPlan dense, UniformPlan(table, spec, 0));
  v1::PlanJobResponse response;
  *response.mutable_spec() = JobSpecToProto(spec);
  *response.mutable_plan() = DescribePlan(spec, table, plan, /*supervised_share=*/1);
  response.set_total_steps(StepsOf(spec, samples));
  if (response.total_steps() > 0) AddStages(spec, shape, samples, *response.mutable_plan());
  response.set_traffic_factor(TrafficFactor(table, plan, MaskRows(spec)));
  response.set_dense_gradient_bytes(kGradientBytes * table.TrainableElements());
  response.set_parameters(ParameterCount(model));
  response.set_trainable_parameters(table.TrainableElements());
  response.set_dtype(spec.dtype == "auto" ? auto_dtype : spec.dtype);
  const int64_t dtype_bytes = response.dtype() == "bf16" ? 2 : 4;
  *response.mutable_memory() = ToProto(EstimateMemory(model, spec, table, plan, dtype_bytes));
  *response.mutable_memory_without_dropping() =
      ToProto(EstimateMemory(model, spec, table, dense, dtype_bytes));
  return response;
}

}  // namespace dropbp::server
