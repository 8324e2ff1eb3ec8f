// One optimizer step.
#pragma once

#include <c10/core/Device.h>

#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/layer_table.h"
#include "worker/trainer/checkpoint/checkpoint_schedule.h"
#include "worker/trainer/collective/gradient_reducer.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/optim/adamw.h"
#include "worker/trainer/optim/schedule.h"
#include "worker/trainer/train/batch.h"
#include "worker/trainer/train/plan_keeper.h"
#include "worker/trainer/train/step_timer.h"

namespace dropbp::trainer {

// What one rank of a job trains with. Everything it points to outlives it.
struct TrainParts {
  JobSpec spec;
  int rank = 0;
  c10::Device device = c10::Device(c10::kCPU);
  LayerTable table;
  Decoder* model = nullptr;
  BatchLoader* batches = nullptr;
  PlanKeeper* plans = nullptr;
  ProcessGroup* group = nullptr;  // null for a single rank
  GradientReducer* reducer = nullptr;
  AdamW* optimizer = nullptr;
  CheckpointSchedule* checkpoints = nullptr;
  CoordinatorLink* link = nullptr;
};

// What the ranks agree on at the end of a step.
struct StepOutcome {
  StepReport report;
  bool updated =
      false;  // false: loss or gradient was not finite, so the update was left out on every rank
  StopRequest stop = StopRequest::kNone;  // the strongest that some rank was asked for
  bool checkpoint_asked = false;          // by rank 0's clock
};

// Not thread-safe.
class TrainStep {
 public:
  TrainStep(const TrainParts& parts, const LearningRateSchedule& schedule)
      : parts_(parts), schedule_(schedule) {}

  // Makes step `step`. A collective: all ranks make the same steps. After an error the model is in
  // an unknown state.
  absl::StatusOr<StepOutcome> Make(int64_t step);

 private:
  absl::StatusOr<StepOutcome> MakeOrThrow(int64_t step);
  std::vector<MaskRow> GroupRows(const std::vector<MaskRow>& rows, size_t micro_step) const;
  ForwardMasks MasksOf(int64_t step, const std::vector<MaskRow>& rows, size_t micro_step) const;
  void RescaleOwn(int64_t step, const std::vector<MaskRow>& rows) const;
  uint64_t DropoutSeed(int64_t step, int micro_step) const;
  absl::Status ShareLoss(const at::Tensor& loss, StepOutcome& outcome) const;
  void UpdateIfFinite(StepOutcome& outcome);
  void Describe(int64_t step, const StepBatch& batch, const std::vector<MaskRow>& rows,
                StepReport& report) const;

  const TrainParts& parts_;
  LearningRateSchedule schedule_;
};

}  // namespace dropbp::trainer
