// From a probe to the drop rates that follow from it.
#pragma once

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/train/probe.h"

namespace dropbp::trainer {

// The uniform plan that a job starts with: version 1, from step 0.
absl::StatusOr<DropPlan> MakeFirstPlan(const LayerTable& table, const JobSpec& spec);

// Probes one batch, the same on every rank, with the units spread over the ranks (unit u on rank u
// % world), and shares the norms. A collective; `group` is null for a single rank. The report is
// complete and the same on every rank: base norms are those of rank 0.
absl::StatusOr<ProbeReport> ProbeSensitivity(Decoder& model, const StepBatch& batch, int64_t step,
                                             ProbeMeasure measure, ProcessGroup* group);

// The plan that a complete report leads to: version 2, from report.step on. A pure function, the
// same on every rank and in the coordinator: GradNormVar, then AllocateDropRates, then
// MakeDropPlan.
absl::StatusOr<DropPlan> MakeProbedPlan(const LayerTable& table, const JobSpec& spec,
                                        const ProbeReport& report);

}  // namespace dropbp::trainer
