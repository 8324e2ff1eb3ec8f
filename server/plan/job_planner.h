// The plans of one attempt: version 1 has uniform rates, version 2 follows the sensitivity probe.
// The coordinator computes them with the same pure functions as the ranks, compares the two, and
// draws the mask blocks that it broadcasts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/plan.pb.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::server {

// Copyable, so that a change can be tried on a copy and kept only once it is durable. Not
// thread-safe.
class JobPlanner {
 public:
  // Plan version 1. INVALID_ARGUMENT if the model's shape and the job do not fit together.
  static absl::StatusOr<JobPlanner> Make(const JobSpec& spec, const v1::ModelShape& shape,
                                         const v1::DatasetReport& data);

  int64_t total_steps() const { return total_steps_; }
  // Step before which the probe runs; -1 without a probe.
  int64_t probe_step() const { return probe_step_; }
  int units() const { return static_cast<int>(table_.units.size()); }
  // The newest plan, as users see it.
  v1::DropPlan Describe() const;

  // Takes the probe report of a rank; ranks may report different units. True once all units are
  // there and version 2 was made from them. The same report again changes nothing.
  absl::StatusOr<bool> AddProbe(const v1::ProbeReport& report);

  // FAILED_PRECONDITION with both values if a rank's plan differs from this one's. A digest of a
  // version that is not made yet is kept and compared when it is.
  absl::Status CheckDigest(int rank, const v1::PlanDigest& digest);
  // The same for the masks that a rank used in a step; hash 0 is not compared.
  absl::Status CheckMasks(int rank, const v1::StepReport& report);

  // Masks from `step` to the end of its block or plan; nothing if its plan is not made yet, or past
  // the last step.
  std::optional<v1::MaskBlock> BlockAt(int64_t step);

 private:
  JobPlanner() = default;
  const MaskPlan* PlanOfVersion(int version) const;
  const MaskPlan* PlanOfStep(int64_t step) const;
  int64_t EndOf(const MaskPlan& masks) const;
  absl::Status MakeSecondPlan();

  JobSpec spec_;
  LayerTable table_;
  double supervised_share_ = 1;
  int64_t total_steps_ = 0;
  int64_t probe_step_ = -1;
  std::vector<MaskPlan> plans_;                    // by version - 1
  std::vector<double> base_norms_;                 // of the probe
  std::map<int, std::vector<double>> unit_norms_;  // of the probe, by dropped unit
  std::vector<double> sensitivities_;
  std::map<int, v1::PlanDigest> early_digests_;  // by rank
  // What was drawn last; the other ranks need the same.
  std::optional<v1::MaskBlock> drawn_block_;
  int64_t hashed_step_ = -1;
  uint64_t step_hash_ = 0;
};

}  // namespace dropbp::server
