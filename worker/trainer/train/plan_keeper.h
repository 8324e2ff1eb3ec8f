// The plans of a job as one rank draws them, and the proof that every rank and the coordinator draw
// the same.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/mask_plan.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// Masks come from the rank's own draw, so training never waits for the coordinator; the blocks that
// the coordinator broadcasts are compared with it as they arrive. Any difference, between ranks or
// to the coordinator, is a broken promise: INTERNAL with both values. Not thread-safe.
class PlanKeeper {
 public:
  // `group` is null for a single rank; both pointers must outlive the keeper.
  PlanKeeper(const JobSpec& spec, ProcessGroup* group, CoordinatorLink* link);

  // Makes a plan the one that counts from plan.first_step on: compares its hash with every rank's
  // and reports it. A collective: all ranks adopt the same plans in the same order.
  absl::Status Adopt(const DropPlan& plan);

  // All mask rows of one optimizer step; checks the mask blocks that have arrived meanwhile.
  absl::StatusOr<std::vector<MaskRow>> Rows(int64_t step);

  // The plan that a step uses; at least one plan was adopted for it.
  const DropPlan& PlanOf(int64_t step) const { return MasksOf(step).plan(); }

 private:
  absl::Status CompareRanks(const DropPlan& plan);
  absl::Status CheckArrivedBlocks();
  absl::Status CheckBlock(const MaskBlock& block) const;
  const MaskPlan& MasksOf(int64_t step) const;

  uint64_t seed_;
  int rows_;
  ProcessGroup* group_;
  CoordinatorLink* link_;
  std::map<int32_t, MaskPlan> masks_;    // by plan version
  std::vector<MaskBlock> early_blocks_;  // of versions this rank has not adopted yet
};

}  // namespace dropbp::trainer
