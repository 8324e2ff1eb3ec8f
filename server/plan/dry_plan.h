// What a job would cost, from its specification and the model's shape alone.
#pragma once

#include <cstdint>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "dropbp/v1/jobs_service.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::server {

// The plan shown is the uniform one at the job's drop rate. Speed limit and traffic factor are
// those of the whole schedule; the memory is that of the stage that takes most, so with a schedule
// that begins or ends at 0 it is that of rate 0. `samples`: of the data set; 0: not known. `cuda`:
// the workers that have the model are GPUs. INVALID_ARGUMENT if the model's shape and the job do
// not fit together.
absl::StatusOr<v1::PlanJobResponse> MakeDryPlan(const JobSpec& spec, const v1::ModelShape& shape,
                                                int64_t samples, bool cuda);

}  // namespace dropbp::server
