// The plans that a job goes through: where a new one begins, with what target, and how it is made.
// One list, computed alike by the coordinator and by every rank.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"

namespace dropbp {

// Steps [first_step, first step of the next stage) use one plan.
struct PlanStage {
  int32_t version = 1;  // of its plan; counts from 1
  int64_t first_step = 0;
  double target = 0;   // target drop rate
  bool probe = false;  // sensitivities are measured before first_step

  bool operator==(const PlanStage&) const = default;
};

// The stages of a job, in order; the first begins at step 0. A stage begins wherever the schedule
// of the target takes a step (dropbp.schedule: 8 equal stages over schedule_share of all steps) and
// wherever a probe runs (at ProbeStep, then every probe_every steps). Where nothing is dropped yet,
// a probe waits for the first step at which something is. If a probe runs before step 0, a stage
// without probe precedes it, also from step 0 on, so that a job has a plan from its beginning. So a
// step's plan is the LAST one with first_step <= it.
std::vector<PlanStage> PlanStages(const JobSpec& spec, int64_t total_steps);

// The plan of a stage. `sensitivities`: the latest ones, by unit; empty before the first probe,
// and then rates are uniform.
absl::StatusOr<DropPlan> MakeStagePlan(const LayerTable& table, const JobSpec& spec,
                                       const PlanStage& stage,
                                       absl::Span<const double> sensitivities);

// F_u of every unit, by unit.
std::vector<int64_t> UnitCosts(const LayerTable& table);

}  // namespace dropbp
