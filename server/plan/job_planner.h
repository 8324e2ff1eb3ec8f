// The plans of one attempt, stage by stage (core/plan/plan_stages.h). The coordinator computes them
// with the same pure functions as the ranks, compares the two, and draws the mask blocks that it
// broadcasts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"
#include "core/plan/plan_stages.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/plan.pb.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::server {

inline constexpr int64_t kDefaultBlockSteps = 1024;

// Copyable, so that a change can be tried on a copy and kept only once it is durable. Not
// thread-safe.
class JobPlanner {
 public:
  // Makes the plans up to the first probe. Mask blocks have at most `block_steps` steps.
  // INVALID_ARGUMENT if the model's shape and the job do not fit together.
  static absl::StatusOr<JobPlanner> Make(const JobSpec& spec, const v1::ModelShape& shape,
                                         const v1::DatasetReport& data,
                                         int64_t block_steps = kDefaultBlockSteps);

  int64_t total_steps() const { return total_steps_; }
  int units() const { return static_cast<int>(table_.units.size()); }
  // Whether a probe runs before `step`.
  bool ProbesBefore(int64_t step) const;

  // Tells how far the job is; the plan in force is then the newest that was made for `next_step` or
  // for the newest probe, whichever is later.
  void Advance(int64_t next_step);
  // Version of the plan in force.
  int version() const { return InForce().plan().version; }
  // The plan in force, as users see it.
  v1::DropPlan Describe() const;

  // Takes a probe and makes the plans from its stage to the next probe. Returns what is to be
  // remembered of it; nothing for a repeated or older report, which changes nothing.
  // INVALID_ARGUMENT if no stage probes before that step, if an earlier probe is missing, or if the
  // report does not hold every unit; FAILED_PRECONDITION if a digest that came earlier differs.
  absl::StatusOr<std::optional<v1::Sensitivities>> AddProbe(const v1::ProbeReport& report);
  // The same from what was remembered, in the order of steps. False: nothing has changed.
  absl::StatusOr<bool> AddSensitivities(const v1::Sensitivities& sensitivities);

  // FAILED_PRECONDITION with both values if a rank's plan differs from this one's. A digest of a
  // version that is not made yet is kept and compared when it is.
  absl::Status CheckDigest(int rank, const v1::PlanDigest& digest);
  // The same for the masks that a rank used in a step; hash 0 is not compared. Hashes of
  // steps whose plan is not made yet are kept, up to 65,536, and compared when it is.
  absl::Status CheckMasks(int rank, const v1::StepReport& report);

  // Masks from `step` to the end of its block or stage; nothing if its plan is not made yet, or
  // past the last step.
  std::optional<v1::MaskBlock> BlockAt(int64_t step);

 private:
  JobPlanner() = default;
  const MaskPlan* PlanOfVersion(int version) const;
  const MaskPlan* PlanOfStep(int64_t step) const;
  const MaskPlan& InForce() const;
  int64_t EndOf(const MaskPlan& masks) const;
  int64_t StepsPerBlock(const MaskPlan& masks) const;
  void DescribeStages(v1::DropPlan& message) const;

  // Index of the stage that a probe before `step` begins.
  absl::StatusOr<size_t> StageOfProbe(int64_t step) const;
  absl::StatusOr<v1::Sensitivities> Measure(const v1::ProbeReport& report) const;
  absl::Status CompareMasks(const MaskPlan& masks, int64_t step, int rank, uint64_t theirs);
  // What came before `plans_.back()` was made.
  absl::Status CompareEarly();
  // Makes plans from the first missing one to the next stage that needs a probe.
  absl::Status MakePlans(bool probed);

  JobSpec spec_;
  LayerTable table_;
  double supervised_share_ = 1;
  int64_t total_steps_ = 0;
  int64_t block_steps_ = kDefaultBlockSteps;
  std::vector<PlanStage> stages_;
  std::vector<MaskPlan> plans_;  // of the first stages, in order
  int64_t next_step_ = 0;
  std::optional<v1::Sensitivities> latest_;
  std::map<std::pair<int, int>, v1::PlanDigest> early_digests_;  // by (version, rank)
  std::map<std::pair<int64_t, int>, uint64_t> early_masks_;      // by (step, rank)
  // What was drawn last; the other ranks need the same.
  std::optional<v1::MaskBlock> drawn_block_;
  int64_t hashed_step_ = -1;
  uint64_t step_hash_ = 0;
};

}  // namespace dropbp::server
