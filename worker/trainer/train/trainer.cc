#include "worker/trainer/train/trainer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/checkpoint/job_identity.h"
#include "worker/trainer/checkpoint/checkpoint_reader.h"
#include "worker/trainer/train/failure.h"
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

std::string EvaluationLine(const EvaluationReport& report, bool best) {
  std::string line =
      absl::StrFormat("evaluated after %d steps in %.2f s", report.step, report.seconds);
  if (report.supervised_tokens > 0) {
    absl::StrAppendFormat(&line, ": validation loss %.4f perplexity %.4g on %d tokens%s",
                          report.loss, std::exp(report.loss), report.supervised_tokens,
                          best ? ", the least so far" : "");
  }
  return line;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Make(CoordinatorLink* link, Decoder* model,
                                                       const data::TokenizedDataset& dataset,
                                                       ProcessGroup* group,
                                                       EvaluationSet evaluation_set) {
  const Assignment& assignment = link->assignment();
  RETURN_IF_ERROR(CheckRanks(assignment));
  ASSIGN_OR_RETURN(LayerTable table, BuildLayerTable(model->config().shape, assignment.spec,
                                                     assignment.spec.dataset.max_length));
  const int64_t steps = TotalSteps(assignment.spec, static_cast<int64_t>(dataset.rows.size()));
  ASSIGN_OR_RETURN(const LearningRateSchedule schedule,
                   LearningRateSchedule::Make(assignment.spec.training, steps));
  return std::unique_ptr<Trainer>(new Trainer(link, model, dataset, group, std::move(table),
                                              schedule, std::move(evaluation_set)));
}

Trainer::Trainer(CoordinatorLink* link, Decoder* model, const data::TokenizedDataset& dataset,
                 ProcessGroup* group, LayerTable table, const LearningRateSchedule& schedule,
                 EvaluationSet evaluation_set)
    : total_steps_(TotalSteps(link->assignment().spec, static_cast<int64_t>(dataset.rows.size()))),
      stages_(PlanStages(link->assignment().spec, total_steps_)),
      batches_(dataset, link->assignment().spec.training, link->assignment().rank,
               link->assignment().world_size, c10::Device(link->assignment().device)),
      plans_(link->assignment().spec, group, link),
      reducer_(model->trainable(), group),
      optimizer_(model->trainable(), link->assignment().spec.training),
      checkpoints_(link->assignment().spec.checkpoint, link->assignment().rank,
                   /*enabled=*/!link->assignment().output_dir.empty(), SystemClock()),
      writer_(link),
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
             .checkpoints = &checkpoints_,
             .link = link},
      step_(parts_, schedule),
      evaluator_(std::move(evaluation_set), parts_.spec, parts_.rank, parts_.device, model, group,
                 link),
      evaluations_(parts_.spec.evaluation, total_steps_, evaluator_.held_out()) {}

absl::Status Trainer::Run() {
  RETURN_IF_ERROR(Begin());
  while (!done()) RETURN_IF_ERROR(RunOnce());
  return absl::OkStatus();
}

absl::Status Trainer::Begin() {
  parts_.model->SetTraining(true);
  const std::string& checkpoint_dir = parts_.link->assignment().checkpoint_dir;
  if (!checkpoint_dir.empty()) {
    RETURN_IF_ERROR(GoOnFrom(checkpoint_dir));
  } else {
    RETURN_IF_ERROR(EnterStage(stages_[next_stage_++]));
  }
  parts_.link->ReportReady(next_step_, total_steps_);
  RETURN_IF_ERROR(EvaluateIfDue());
  if (done()) Finish();
  return absl::OkStatus();
}

absl::Status Trainer::GoOnFrom(const std::string& checkpoint_dir) {
  absl::StatusOr<TrainingState> state = TrainingState();
  RETURN_IF_ERROR(RunTorch(absl::StrCat("rank ", parts_.rank, ", checkpoint"), [&] {
    state = LoadCheckpoint(checkpoint_dir, JobIdentity(parts_.spec), parts_.rank,
                           parts_.model->trainable(), optimizer_);
    return state.status();
  }));
  // After the last step there may be an evaluation left to make.
  if (state->next_step > total_steps_) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint ", checkpoint_dir, ": found step ",
                                                   state->next_step, ", the job has ", total_steps_,
                                                   " steps"));
  }
  next_step_ = state->next_step;
  non_finite_ = state->non_finite;
  sensitivities_ = std::move(state->sensitivities);
  totals_ = state->totals;
  history_ = std::move(state->history);
  evaluated_step_ = state->evaluated_step;
  best_ = state->best;
  best_values_ = std::move(state->best_values);
  // A stage that begins here is entered with the next step.
  while (next_stage_ + 1 < stages_.size() && stages_[next_stage_ + 1].first_step < next_step_) {
    ++next_stage_;
  }
  const PlanStage& stage = stages_[next_stage_++];
  if (stage.version != state->plan_version) {
    return absl::InternalError(absl::StrCat("checkpoint ", checkpoint_dir, ": found plan ",
                                            state->plan_version, " in force before step ",
                                            next_step_, ", this job has plan ", stage.version));
  }
  LogLine(absl::StrFormat("goes on from the checkpoint after %d steps", next_step_));
  return AdoptPlanOf(stage);
}

absl::Status Trainer::RunOnce() {
  while (next_stage_ < stages_.size() && stages_[next_stage_].first_step == next_step_) {
    RETURN_IF_ERROR(EnterStage(stages_[next_stage_++]));
  }
  ASSIGN_OR_RETURN(const StepOutcome outcome, step_.Make(next_step_));
  ++next_step_;
  parts_.link->ReportStep(outcome.report);
  LogLine(StepLine(outcome.report, total_steps_));
  AddUp(outcome.report);
  RETURN_IF_ERROR(CountNonFinite(outcome));
  if (outcome.stop != StopRequest::kNone && !done()) return Stop(outcome.stop);
  RETURN_IF_ERROR(EvaluateIfDue());
  if (done()) {  // the result follows
    Finish();
    return absl::OkStatus();
  }
  const bool new_best = IsNewBest() && checkpoints_.enabled();
  if (!new_best && !checkpoints_.IsDue(next_step_, outcome.checkpoint_asked))
    return absl::OkStatus();
  return SaveCheckpoint();
}

absl::Status Trainer::EvaluateIfDue() {
  if (!evaluations_.IsDue(next_step_) || evaluated_step_ == next_step_) return absl::OkStatus();
  ASSIGN_OR_RETURN(const EvaluationOutcome outcome, evaluator_.Evaluate(next_step_));
  // Whoever goes on makes it again, all of it.
  if (outcome.stop != StopRequest::kNone) return Stop(outcome.stop);
  const EvaluationReport& report = outcome.report;
  evaluated_step_ = next_step_;
  NoteLoss(report);
  if (parts_.rank == 0) parts_.link->ReportEvaluation(report);
  LogLine(EvaluationLine(report, best_.step == next_step_));
  if (next_step_ == total_steps_ || !evaluations_.EndsJob(next_step_, best_))
    return absl::OkStatus();
  early_stop_ = best_.step == 0 ? absl::StrFormat("no finite validation loss in %d evaluations",
                                                  parts_.spec.evaluation.patience)
                                : absl::StrFormat(
                                      "no smaller validation loss in %d evaluations; the least, "
                                      "%.4f, was after %d steps",
                                      parts_.spec.evaluation.patience, best_.loss, best_.step);
  LogLine("stops early: " + early_stop_);
  return absl::OkStatus();
}

void Trainer::NoteLoss(const EvaluationReport& report) {
  if (report.supervised_tokens == 0) return;
  if (parts_.rank == 0) {
    history_.validation_steps.push_back(report.step);
    history_.validation_losses.push_back(report.loss);
  }
  if (!best_.IsBeatenBy(report.loss)) return;
  best_ = {.step = report.step, .loss = report.loss};
  if (!IsNewBest() || parts_.rank != 0) return;
  for (const TrainableParameter& parameter : parts_.model->trainable())
    best_values_[parameter.name] = HostCopy(parameter.value);
}

bool Trainer::IsNewBest() const {
  return parts_.spec.evaluation.result == "best" && best_.step == next_step_;
}

void Trainer::Finish() {
  writer_.Wait();
  if (best_values_.empty() || best_.step == next_step_) return;
  at::NoGradGuard no_grad;
  for (const TrainableParameter& parameter : parts_.model->trainable())
    at::Tensor(parameter.value).copy_(best_values_.at(parameter.name));
  LogLine(absl::StrFormat("the result is that after %d steps, with the least validation loss",
                          best_.step));
}

absl::Status Trainer::Stop(StopRequest stop) {
  if (stop == StopRequest::kSaveAndStop && checkpoints_.enabled())
    RETURN_IF_ERROR(SaveCheckpoint());
  writer_.Wait();
  return absl::CancelledError(absl::StrCat("stopped on request after ", next_step_, " steps"));
}

absl::Status Trainer::SaveCheckpoint() {
  const PartOwner owner{.identity = JobIdentity(parts_.spec),
                        .rank = parts_.rank,
                        .world_size = parts_.link->assignment().world_size};
  const TrainingState state{{.next_step = next_step_,
                             .plan_version = stages_[next_stage_ - 1].version,
                             .non_finite = non_finite_,
                             .sensitivities = sensitivities_,
                             .totals = totals_,
                             .evaluated_step = evaluated_step_,
                             .best = best_,
                             .history = history_},
                            best_values_};
  checkpoints_.NoteSaved();
  return RunTorch(absl::StrCat("rank ", parts_.rank, ", checkpoint after ", next_step_, " steps"),
                  [&] {
                    writer_.Start(CopyPart(owner, state, parts_.model->trainable(), optimizer_));
                    return absl::OkStatus();
                  });
}

void Trainer::AddUp(const StepReport& report) {
  totals_.backward_flops_done += report.backward_flops_done;
  totals_.backward_flops_saved += report.backward_flops_saved;
  totals_.gradient_bytes_sent += report.gradient_bytes_sent;
  totals_.gradient_bytes_dense += report.gradient_bytes_dense;
  totals_.tokens += report.tokens;
  totals_.loss = report.loss;
  totals_.learning_rate = report.learning_rate;
  totals_.grad_norm = report.grad_norm;
  if (parts_.rank == 0) history_.losses.push_back(report.loss);
}

absl::Status Trainer::EnterStage(const PlanStage& stage) {
  if (stage.probe) RETURN_IF_ERROR(Probe(stage.first_step));
  return AdoptPlanOf(stage);
}

absl::Status Trainer::AdoptPlanOf(const PlanStage& stage) {
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
