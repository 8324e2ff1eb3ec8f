// The coordinator's state as Prometheus metrics, read anew at every scrape: the series of a job
// vanish with the job.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "server/metrics/event_metrics.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

// So many running jobs have series; of more, the oldest. dropbp_jobs_without_series tells of the
// rest.
inline constexpr size_t kMaxJobsWithSeries = 50;

// Thread-safe.
class CoordinatorMetrics : public prometheus::Collectable {
 public:
  // `coordinator` and `events`, its observer, outlive this object. `certificate`: PEM file of the
  // own certificate, read anew at every scrape, since it is replaced while the server runs; empty
  // without TLS. While the file holds no certificate, its series is missing.
  CoordinatorMetrics(Coordinator& coordinator, const EventMetrics& events, std::string data_dir,
                     std::string certificate = "")
      : coordinator_(coordinator),
        events_(events),
        data_dir_(std::move(data_dir)),
        certificate_(std::move(certificate)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Coordinator& coordinator_;
  const EventMetrics& events_;
  const std::string data_dir_;
  const std::string certificate_;
};

}  // namespace dropbp::server
