// All families of the coordinator's endpoint.
#pragma once

#include "core/metrics/metric_table.h"

namespace dropbp::server {

const MetricTable& CoordinatorTable();

}  // namespace dropbp::server
