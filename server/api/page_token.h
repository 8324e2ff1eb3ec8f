// The opaque tokens that ListJobs hands out.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "dropbp/v1/jobs_service.pb.h"

namespace dropbp::server {

// The page of `request` that begins before creation number `next_order`; empty for 0.
std::string MakePageToken(const v1::ListJobsRequest& request, int64_t next_order);

// The creation number in the request's token; 0 if it has none. INVALID_ARGUMENT (violation on
// page_token) for a token that was not made here, or was made for another filter.
absl::StatusOr<int64_t> ReadPageToken(const v1::ListJobsRequest& request);

}  // namespace dropbp::server
