// The series of one running job.
#pragma once

#include "absl/time/time.h"
#include "core/metrics/exposition.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// Rows of these series.
MetricTable JobMetrics();

void AddJobMetrics(const RunSnapshot& run, absl::Time now, Exposition& out);

// Seconds since 1970.
double UnixSeconds(const google::protobuf::Timestamp& time);

}  // namespace dropbp::server
