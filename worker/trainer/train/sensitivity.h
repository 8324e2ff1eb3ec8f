// The sensitivity probe of all ranks together.
#pragma once

#include <vector>

#include "core/base/status.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/train/probe.h"

namespace dropbp::trainer {

// Probes one batch, the same on every rank, with the units spread over the ranks (unit u on rank u
// % world), and shares the norms. A collective; `group` is null for a single rank. The report is
// complete and the same on every rank: base norms are those of rank 0.
absl::StatusOr<ProbeReport> ProbeSensitivity(Decoder& model, const StepBatch& batch, int64_t step,
                                             ProbeMeasure measure, ProcessGroup* group);

// S_u by unit from a complete report: GradNormVar of each unit's norms. INVALID_ARGUMENT for a norm
// that is not finite.
absl::StatusOr<std::vector<double>> SensitivitiesOf(const ProbeReport& report);

}  // namespace dropbp::trainer
