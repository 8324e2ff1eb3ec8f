// The agent's state as Prometheus metrics, read anew at every scrape.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/nvml.h"

namespace dropbp::agent {

// Thread-safe. The agent outlives it.
class AgentMetrics : public prometheus::Collectable {
 public:
  explicit AgentMetrics(Agent& agent);
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  Agent& agent_;
  const std::unique_ptr<GpuMonitor> gpus_;  // null if no slot is a GPU
};

// Serves them over HTTP for as long as it lives.
class MetricsServer {
 public:
  // UNAVAILABLE if it cannot listen at `address`, HOST:PORT.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& address,
                                                              Agent& agent);

 private:
  MetricsServer(const std::string& address, Agent& agent);

  const std::shared_ptr<AgentMetrics> metrics_;
  prometheus::Exposer exposer_;
};

}  // namespace dropbp::agent
