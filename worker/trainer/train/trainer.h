// The training loop of one rank.
#pragma once

#include <memory>
#include <vector>

#include "core/base/status.h"
#include "core/plan/plan_stages.h"
#include "worker/data/dataset.h"
#include "worker/trainer/checkpoint/checkpoint_writer.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/train_step.h"

namespace dropbp::trainer {

// Protocol of a job on one rank:
//   a. Begin(): go on from the assigned checkpoint, if there is one; adopt the plan in force with
//      the other ranks and report ready;
//   b. RunOnce() for each step: enter the stages that begin here (PlanStages), each with its probe
//      if it has one; make the step; report it; begin to save a checkpoint if one is due;
//   c. the loop ends after the last step, after a step in which any rank was asked to stop (with a
//      checkpoint, if it was asked for), or after kMaxNonFinite steps in a row whose loss or
//      gradient was not finite (their updates are left out).
//
// A checkpoint is of the moment between two steps, before a stage begins: a probe there is run
// again by whoever goes on. All ranks save after the same steps and leave the loop after the same
// step. Not thread-safe; one thread owns model, group and trainer.
class Trainer {
 public:
  static constexpr int kMaxNonFinite = 3;

  // `group` is null for a single rank. What is passed must outlive the trainer. INVALID_ARGUMENT
  // for a spec that does not fit the model or the number of ranks.
  static absl::StatusOr<std::unique_ptr<Trainer>> Make(CoordinatorLink* link, Decoder* model,
                                                       const data::TokenizedDataset& dataset,
                                                       ProcessGroup* group);

  // All of it. CANCELLED if it was asked to stop before the last step.
  absl::Status Run();

  absl::Status Begin();
  absl::Status RunOnce();
  bool done() const { return next_step_ == total_steps_; }

  int64_t next_step() const { return next_step_; }
  int64_t total_steps() const { return total_steps_; }
  const AdamW& optimizer() const { return optimizer_; }

 private:
  Trainer(CoordinatorLink* link, Decoder* model, const data::TokenizedDataset& dataset,
          ProcessGroup* group, LayerTable table, const LearningRateSchedule& schedule);

  absl::Status GoOnFrom(const std::string& checkpoint_dir);
  absl::Status EnterStage(const PlanStage& stage);
  absl::Status AdoptPlanOf(const PlanStage& stage);
  absl::Status Probe(int64_t step);
  void AddUp(const StepReport& report);
  absl::Status CountNonFinite(const StepOutcome& outcome);
  absl::Status SaveCheckpoint();
  absl::Status StopAfterStep(StopRequest stop);

  int64_t total_steps_;
  std::vector<PlanStage> stages_;
  size_t next_stage_ = 0;
  std::vector<double> sensitivities_;  // of the latest probe, by unit; empty before the first
  BatchLoader batches_;
  PlanKeeper plans_;
  GradientReducer reducer_;
  AdamW optimizer_;
  CheckpointSchedule checkpoints_;
  CheckpointWriter writer_;
  TrainParts parts_;
  TrainStep step_;
  int64_t next_step_ = 0;
  int non_finite_ = 0;
  TrainingTotals totals_;
};

}  // namespace dropbp::trainer
