#include "worker/trainer/train/trainer.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/trainer/train/sensitivity.h"
#include "worker/trainer/train/stderr_log.h"

namespace dropbp::trainer {
namespace {

// The division of work must come out even; the coordinator checks it first, a person's own spec may
// not have been.
absl::Status CheckRanks(const Assignment& assignment) {
  const TrainingSpec& training = assignment.spec.training;
  if (assignment.spec.resources.ranks != assignment.world_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("resources.ranks: found ", assignment.spec.resources.ranks,
                     ", but the job runs on ", assignment.world_size, " ranks"));
  }
  const int64_t unit = training.micro_batch_size * assignment.world_size;
  if (training.micro_batch_size < 1 || training.global_batch_size % unit != 0) {
    return absl::InvalidArgumentError(absl::StrCat("training.global_batch_size: found ",
                                                   training.global_batch_size,
                                                   ", legal is a multiple of ranks * "
                                                   "training.micro_batch_size = ",
                                                   unit));
  }
  if (training.micro_batch_size % MaskGroups(assignment.spec) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dropbp.mask_groups: found ", assignment.spec.dropbp.mask_groups,
        ", legal is a divisor of training.micro_batch_size = ", training.micro_batch_size));
  }
  return absl::OkStatus();
}

std::string StepLine(const StepReport& r, int64_t total_steps) {
  const double flops = r.backward_flops_done + r.backward_flops_saved;
  return absl::StrFormat(
      "step %d/%d loss %.4f lr %.3g norm %.3g dropped %.3f sent %d of %d B masks %016x | %.3f s: "
      "data %.3f "
      "forward %.3f backward %.3f "
      "all-reduce %.3f optimizer %.3f",
      r.step + 1, total_steps, r.loss, r.learning_rate, r.grad_norm,
      flops > 0 ? r.backward_flops_saved / flops : 0.0, r.gradient_bytes_sent,
      r.gradient_bytes_dense, r.mask_hash, r.step_seconds, r.data_seconds, r.forward_seconds,
      r.backward_seconds, r.all_reduce_seconds, r.optimizer_seconds);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Make(CoordinatorLink* link, Decoder* model,
                                                       const std::vector<data::Sample>& samples,
                                                       ProcessGroup* group) {
  const Assignment& assignment = link->assignment();
  RETURN_IF_ERROR(CheckRanks(assignment));
  ASSIGN_OR_RETURN(LayerTable table, BuildLayerTable(model->config().shape, assignment.spec,
                                                     assignment.spec.dataset.max_length));
  const int64_t steps = TotalSteps(assignment.spec, static_cast<int64_t>(samples.size()));
  ASSIGN_OR_RETURN(const LearningRateSchedule schedule,
                   LearningRateSchedule::Make(assignment.spec.training, steps));
  return std::unique_ptr<Trainer>(
      new Trainer(link, model, samples, group, std::move(table), schedule));
}

Trainer::Trainer(CoordinatorLink* link, Decoder* model, const std::vector<data::Sample>& samples,
                 ProcessGroup* group, LayerTable table, const LearningRateSchedule& schedule)
    : total_steps_(TotalSteps(link->assignment().spec, static_cast<int64_t>(samples.size()))),
      stages_(PlanStages(link->assignment().spec, total_steps_)),
      batches_(samples, link->assignment().spec.training, link->assignment().rank,
               link->assignment().world_size, c10::Device(link->assignment().device)),
      plans_(link->assignment().spec, group, link),
      reducer_(model->trainable(), group),
      optimizer_(model->trainable(), link->assignment().spec.training),
      parts_{.spec = link->assignment().spec,
             .rank = link->assignment().rank,
             .device = c10::Device(link->assignment().device),
             .table = std::move(table),
             .model = model,
             .batches = &batches_,
             .plans = &plans_,
             .group = group,
             .reducer = &reducer_,
             .optimizer = &optimizer_,
             .link = link},
      step_(parts_, schedule) {}

absl::Status Trainer::Run() {
  RETURN_IF_ERROR(Begin());
  while (!done()) RETURN_IF_ERROR(RunOnce());
  return absl::OkStatus();
}

absl::Status Trainer::Begin() {
  parts_.model->SetTraining(true);
  RETURN_IF_ERROR(EnterStage(stages_[next_stage_++]));
  parts_.link->ReportReady(next_step_, total_steps_);
  return absl::OkStatus();
}

absl::Status Trainer::RunOnce() {
  while (next_stage_ < stages_.size() && stages_[next_stage_].first_step == next_step_) {
    RETURN_IF_ERROR(EnterStage(stages_[next_stage_++]));
  }
  ASSIGN_OR_RETURN(const StepOutcome outcome, step_.Make(next_step_));
  ++next_step_;
  parts_.link->ReportStep(outcome.report);
  LogLine(StepLine(outcome.report, total_steps_));
  RETURN_IF_ERROR(CountNonFinite(outcome));
  if (outcome.stop_requested && !done()) {
    return absl::CancelledError(absl::StrCat("stopped on request after ", next_step_, " steps"));
  }
  return absl::OkStatus();
}

absl::Status Trainer::EnterStage(const PlanStage& stage) {
  if (stage.probe) RETURN_IF_ERROR(Probe(stage.first_step));
  ASSIGN_OR_RETURN(const DropPlan plan,
                   MakeStagePlan(parts_.table, parts_.spec, stage, sensitivities_));
  return plans_.Adopt(plan);
}

absl::Status Trainer::Probe(int64_t step) {
  const StepBatch batch = batches_.LoadProbe(step, parts_.spec.dropbp.probe_samples);
  ASSIGN_OR_RETURN(const ProbeReport report,
                   ProbeSensitivity(*parts_.model, batch, step, MeasureBySuffixes, parts_.group));
  if (parts_.rank == 0) parts_.link->ReportProbe(report);
  ASSIGN_OR_RETURN(sensitivities_, SensitivitiesOf(report));
  LogLine(absl::StrFormat("probed %d units before step %d in %.2f s", report.units.size(), step + 1,
                          report.seconds));
  return absl::OkStatus();
}

absl::Status Trainer::CountNonFinite(const StepOutcome& outcome) {
  non_finite_ = outcome.updated ? 0 : non_finite_ + 1;
  if (non_finite_ < kMaxNonFinite) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("rank %d, step %d: loss %g and gradient norm %g are not finite for the %dth "
                      "step in a row. Lower "
                      "training.learning_rate, set training.max_grad_norm, or use dtype fp32.",
                      parts_.rank, outcome.report.step, outcome.report.loss,
                      outcome.report.grad_norm, non_finite_));
}

}  // namespace dropbp::trainer
