#include "worker/trainer/train/train_step.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/plan/estimator.h"
#include "worker/trainer/optim/clip.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/peak_memory.h"

namespace dropbp::trainer {

absl::StatusOr<StepOutcome> TrainStep::Make(int64_t step) {
  absl::StatusOr<StepOutcome> outcome = StepOutcome();
  const std::string where = absl::StrCat("rank ", parts_.rank, ", step ", step);
  RETURN_IF_ERROR(RunTorch(where, [&] {
    outcome = MakeOrThrow(step);
    return outcome.status();
  }));
  return outcome;
}

absl::StatusOr<StepOutcome> TrainStep::MakeOrThrow(int64_t step) {
  StepTimer timer(parts_.device);
  StepOutcome outcome;
  if (parts_.group != nullptr) parts_.group->SetStep(step);

  const StepBatch batch = parts_.batches->Load(step);
  ASSIGN_OR_RETURN(const std::vector<MaskRow> rows, parts_.plans->Rows(step));
  timer.Mark(Phase::kData);

  const std::vector<bool> live = LiveUnits(rows);
  // Loss is the mean over the supervised tokens of the global batch, so gradients of micro-steps
  // and ranks simply add.
  const auto count = static_cast<double>(std::max<int64_t>(1, batch.supervised_tokens));
  at::Tensor loss_of_rank = at::zeros({}, at::TensorOptions(parts_.device).dtype(at::kDouble));
  for (size_t micro_step = 0; micro_step < batch.micro_batches.size(); ++micro_step) {
    const MicroBatch& micro = batch.micro_batches[micro_step];
    const ForwardMasks masks = MasksOf(step, rows, micro_step);
    parts_.model->SeedDropout(DropoutSeed(step, static_cast<int>(micro_step)));
    const at::Tensor loss =
        parts_.model->LossSum(parts_.model->ForwardGroups(micro.tokens(), masks), micro.targets) /
        count;
    loss_of_rank += loss.detach();
    timer.Mark(Phase::kForward);
    // Later micro-steps still add to gradients; the last one makes them final.
    if (micro_step + 1 == batch.micro_batches.size())
      parts_.reducer->Begin(live, LiveUnits(masks.rows));
    if (loss.requires_grad()) loss.backward();
    timer.Mark(Phase::kBackward);
  }

  RETURN_IF_ERROR(parts_.reducer->Finish());
  RescaleOwn(step, rows);
  RETURN_IF_ERROR(ShareLoss(loss_of_rank, outcome));
  timer.Mark(Phase::kAllReduce);

  outcome.report.learning_rate = schedule_.At(step);
  UpdateIfFinite(outcome);
  timer.Mark(Phase::kOptimizer);

  Describe(step, batch, rows, outcome.report);
  timer.Write(outcome.report);
  return outcome;
}

std::vector<MaskRow> TrainStep::GroupRows(const std::vector<MaskRow>& rows,
                                          size_t micro_step) const {
  std::vector<MaskRow> group_rows;
  for (int group = 0; group < MaskGroups(parts_.spec); ++group) {
    group_rows.push_back(
        rows[MaskRowIndex(parts_.spec, parts_.rank, static_cast<int>(micro_step), group)]);
  }
  return group_rows;
}

ForwardMasks TrainStep::MasksOf(int64_t step, const std::vector<MaskRow>& rows,
                                size_t micro_step) const {
  ForwardMasks masks;
  masks.rows = GroupRows(rows, micro_step);
  if (ResolvedEstimator(parts_.spec) == "unbiased") {
    masks.cotangent_scales = KeepScales(parts_.plans->PlanOf(step));
  }
  return masks;
}

void TrainStep::RescaleOwn(int64_t step, const std::vector<MaskRow>& rows) const {
  if (ResolvedEstimator(parts_.spec) != "own") return;
  const std::vector<double> scales = OwnScales(parts_.plans->PlanOf(step), rows);
  for (const TrainableParameter& parameter : parts_.model->trainable()) {
    at::Tensor gradient = parameter.value.grad();
    if (parameter.unit >= 0 && gradient.defined()) gradient.mul_(scales[parameter.unit]);
  }
}

// A function of (job seed, step, micro-batch of the global batch): the same for every world size
// and after a resume.
uint64_t TrainStep::DropoutSeed(int64_t step, int micro_step) const {
  const int micro_batch = parts_.rank * parts_.batches->micro_steps() + micro_step;
  PhiloxStream stream(static_cast<uint64_t>(parts_.spec.training.seed), static_cast<uint64_t>(step),
                      static_cast<uint32_t>(micro_batch));
  const uint64_t high = stream.Next();
  return (high << 32) | stream.Next();
}

absl::Status TrainStep::ShareLoss(const at::Tensor& loss, StepOutcome& outcome) const {
  const double mine[] = {loss.item<double>(), static_cast<double>(parts_.link->stop_request()),
                         parts_.checkpoints->ClockAsks() ? 1.0 : 0.0};
  std::vector<std::vector<double>> all = {{mine[0], mine[1], mine[2]}};
  if (parts_.group != nullptr) {
    ASSIGN_OR_RETURN(all, parts_.group->AllGather(absl::MakeConstSpan(mine)));
  }
  for (const std::vector<double>& theirs : all) {
    outcome.report.loss += theirs[0];
    outcome.stop = std::max(outcome.stop, static_cast<StopRequest>(static_cast<int>(theirs[1])));
    outcome.checkpoint_asked |= theirs[2] != 0;
  }
  return absl::OkStatus();
}

void TrainStep::UpdateIfFinite(StepOutcome& outcome) {
  const std::vector<TrainableParameter>& parameters = parts_.model->trainable();
  const at::Tensor norm = GlobalGradientNorm(parameters);
  outcome.report.grad_norm = norm.item<double>();
  outcome.updated = std::isfinite(outcome.report.loss) && std::isfinite(outcome.report.grad_norm);
  if (outcome.updated) {
    if (parts_.spec.dropbp.dropped_update == "advance") parts_.optimizer->ZeroMissingGradients();
    ClipGradients(parameters, norm, parts_.spec.training.max_grad_norm);
    parts_.optimizer->Step(outcome.report.learning_rate);
  }
  parts_.optimizer->ClearGradients();
}

void TrainStep::Describe(int64_t step, const StepBatch& batch, const std::vector<MaskRow>& rows,
                         StepReport& report) const {
  report.step = step;
  report.tokens = batch.tokens;
  report.supervised_tokens = batch.supervised_tokens;
  for (size_t m = 0; m < batch.micro_batches.size(); ++m) {
    const std::vector<MaskRow> groups = GroupRows(rows, m);
    const double positions = static_cast<double>(batch.micro_batches[m].positions()) /
                             static_cast<double>(groups.size());
    for (const MaskRow& keep : groups) {
      for (size_t unit = 0; unit < keep.size(); ++unit) {
        double& flops = keep[unit] ? report.backward_flops_done : report.backward_flops_saved;
        flops += positions * static_cast<double>(parts_.table.units[unit].backward_flops);
      }
    }
  }
  report.gradient_bytes_sent = parts_.reducer->bytes_sent();
  report.gradient_bytes_dense = parts_.reducer->bytes_dense();
  report.peak_memory_bytes = PeakMemoryBytes(parts_.device);
  report.mask_hash = MaskHash(rows);
  report.plan_version = parts_.plans->PlanOf(step).version;
}

}  // namespace dropbp::trainer
