// When the server's certificate ends, as a Prometheus metric.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

namespace dropbp::server {

// dropbp_certificate_not_after_timestamp_seconds of a PEM file, read anew at every scrape, since
// the file is replaced while the server runs; no series while the file holds no certificate.
// Thread-safe.
class CertificateMetrics : public prometheus::Collectable {
 public:
  explicit CertificateMetrics(std::string certificate_path)
      : certificate_path_(std::move(certificate_path)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::string certificate_path_;
};

}  // namespace dropbp::server
