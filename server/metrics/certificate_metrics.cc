#include "server/metrics/certificate_metrics.h"

#include "core/security/tls_files.h"

namespace dropbp::server {

std::vector<prometheus::MetricFamily> CertificateMetrics::Collect() const {
  const absl::StatusOr<absl::Time> end = CertificateEnd(certificate_path_);
  if (!end.ok()) return {};
  prometheus::ClientMetric metric;
  metric.gauge.value = static_cast<double>(absl::ToUnixSeconds(*end));
  return {{"dropbp_certificate_not_after_timestamp_seconds",
           "When the coordinator's TLS certificate ends.",
           prometheus::MetricType::Gauge,
           {metric}}};
}

}  // namespace dropbp::server
