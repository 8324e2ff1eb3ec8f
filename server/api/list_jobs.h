// The answer of JobService.ListJobs, for every port that gives it.
#pragma once

#include "core/base/status.h"
#include "dropbp/v1/jobs_service.pb.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// INVALID_ARGUMENT (violation on page_size or page_token) for a request that makes no sense.
absl::StatusOr<v1::ListJobsResponse> ListJobs(Coordinator& coordinator,
                                              const v1::ListJobsRequest& request);

}  // namespace dropbp::server
