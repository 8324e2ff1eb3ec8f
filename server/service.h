// The running coordinator: all rooms built in order, and stopped in the opposite one.
#pragma once

#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "core/base/status.h"
#include "server/api/server.h"
#include "server/config.h"
#include "server/metrics/certificate_metrics.h"
#include "server/metrics/coordinator_metrics.h"
#include "server/run/coordinator.h"

namespace dropbp::server {

class Service {
 public:
  // Opens the data folder, takes up stored jobs, serves. Each error says which part failed.
  static absl::StatusOr<std::unique_ptr<Service>> Start(const CoordinatorConfig& config);
  // Stops serving: streams end at once, other calls have a grace of some seconds.
  ~Service();

  const std::string& address() const { return api_->address(); }

 private:
  Service() = default;
  absl::Status OpenData(const CoordinatorConfig& config);
  absl::Status ServeMetrics(const CoordinatorConfig& config);
  void TickUntilStopped();

  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<LogStore> logs_;
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<CoordinatorMetrics> metrics_;
  std::shared_ptr<CertificateMetrics> certificate_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::unique_ptr<ApiServer> api_;
  absl::Notification stop_;
  std::thread ticker_;
};

}  // namespace dropbp::server
