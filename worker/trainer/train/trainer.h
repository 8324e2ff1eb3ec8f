// The training loop of one rank.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/evaluation_schedule.h"
#include "core/plan/plan_stages.h"
#include "worker/data/dataset.h"
#include "worker/trainer/checkpoint/checkpoint_writer.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/evaluator.h"
#include "worker/trainer/train/train_step.h"

namespace dropbp::trainer {

// Protocol of a job on one rank:
//   a. Begin(): go on from the assigned checkpoint, if there is one; adopt the plan in force with
//      the other ranks and report ready;
//   b. RunOnce() for each step: enter the stages that begin here (PlanStages), each with its probe
//      if it has one; make the step; report it; evaluate if that is due (EvaluationSchedule); begin
//      to save a checkpoint if one is due;
//   c. the loop ends after the last step, after an evaluation that ends the job, after a step or in
//      an evaluation in which any rank was asked to stop (with a checkpoint, if it was asked for),
//      or after kMaxNonFinite steps in a row whose loss or gradient was not finite (their updates
//      are left out);
//   d. where evaluation.result is best, rank 0's model then has the values of the best evaluation.
//
// A checkpoint is of the moment between two steps, before a stage begins: a probe there is run
// again by whoever goes on. An evaluation comes before it; one that a stop leaves out or breaks
// off is what whoever goes on begins with. All ranks save after the same steps and leave the loop
// after the same step. Not thread-safe; one thread owns model, group and trainer.
class Trainer {
 public:
  static constexpr int kMaxNonFinite = 3;

  // `group` is null for a single rank. What is passed must outlive the trainer. INVALID_ARGUMENT
  // for a spec that does not fit the model or the number of ranks.
  static absl::StatusOr<std::unique_ptr<Trainer>> Make(CoordinatorLink* link, Decoder* model,
                                                       const data::TokenizedDataset& dataset,
                                                       ProcessGroup* group,
                                                       EvaluationSet evaluation_set = {});

  // All of it. CANCELLED if it was asked to stop before the last step.
  absl::Status Run();

  absl::Status Begin();
  absl::Status RunOnce();
  bool done() const { return next_step_ == total_steps_ || !early_stop_.empty(); }

  int64_t next_step() const { return next_step_; }
  int64_t total_steps() const { return total_steps_; }
  // Why the job ended before the last step; empty if it did not.
  const std::string& early_stop() const { return early_stop_; }
  const AdamW& optimizer() const { return optimizer_; }

 private:
  Trainer(CoordinatorLink* link, Decoder* model, const data::TokenizedDataset& dataset,
          ProcessGroup* group, LayerTable table, const LearningRateSchedule& schedule,
          EvaluationSet evaluation_set);

  absl::Status GoOnFrom(const std::string& checkpoint_dir);
  absl::Status EnterStage(const PlanStage& stage);
  absl::Status AdoptPlanOf(const PlanStage& stage);
  absl::Status Probe(int64_t step);
  void AddUp(const StepReport& report);
  absl::Status CountNonFinite(const StepOutcome& outcome);
  absl::Status SaveCheckpoint();
  // Between two steps; with a checkpoint, if that was asked for. CANCELLED.
  absl::Status Stop(StopRequest stop);
  // As Stop() where a request to stop broke it off.
  absl::Status EvaluateIfDue();
  // Takes note of an evaluation's validation loss, if it has one, and of a new best.
  void NoteLoss(const EvaluationReport& report);
  // Whether the weights of this moment are the best so far, and to be the job's result.
  bool IsNewBest() const;
  void Finish();

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
  Evaluator evaluator_;
  EvaluationSchedule evaluations_;
  int64_t evaluated_step_ = 0;  // of the newest evaluation
  BestEvaluation best_;
  std::map<std::string, at::Tensor> best_values_;  // see TrainingState
  std::string early_stop_;
  int64_t next_step_ = 0;
  int non_finite_ = 0;
  TrainingTotals totals_;
  LossHistory history_;  // rank 0's alone
};

}  // namespace dropbp::trainer
