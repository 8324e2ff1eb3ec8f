// All families of the worker's endpoint.
#pragma once

#include "core/metrics/metric_table.h"

namespace dropbp::agent {

const MetricTable& AgentTable();

}  // namespace dropbp::agent
