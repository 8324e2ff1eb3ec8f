// What a job would cost, from its specification and the model's shape alone.
#pragma once

#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "dropbp/v1/jobs_service.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::server {

// `samples`: of the data set; 0: not known. `auto_dtype`: bf16 or fp32, what dtype
// auto becomes.
// INVALID_ARGUMENT if the model's shape and the job do not fit together.
absl::StatusOr<v1::PlanJobResponse> MakeDryPlan(const JobSpec& spec, const v1::ModelShape& shape,
                                                int64_t samples, const std::string& auto_dtype);

}  // namespace dropbp::server
