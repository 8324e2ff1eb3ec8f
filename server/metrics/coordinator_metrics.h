// The coordinator's state as Prometheus metrics, read anew at every scrape: the series of a job
// vanish with the job.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <vector>

#include "server/run/coordinator.h"

namespace dropbp::server {

// Thread-safe. The coordinator outlives it.
class CoordinatorMetrics : public prometheus::Collectable {
 public:
  explicit CoordinatorMetrics(Coordinator& coordinator) : coordinator_(coordinator) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Coordinator& coordinator_;
};

// The metrics of a snapshot.
std::vector<prometheus::MetricFamily> MetricsOf(const CoordinatorSnapshot& snapshot);

}  // namespace dropbp::server
