#include "core/metrics/exposition.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/text.h"

namespace dropbp {
namespace {

prometheus::MetricType TypeOf(MetricKind kind) {
  switch (kind) {
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

Exposition::Exposition(const MetricTable& table) : table_(table) {
  for (const MetricInfo& metric : table_) {
    index_[metric.name] = families_.size();
    families_.push_back({metric.name, metric.help, TypeOf(metric.kind), {}});
  }
}

void Exposition::Set(std::string_view name, double value, std::vector<std::string> label_values) {
  prometheus::ClientMetric metric;
  metric.gauge.value = value;
  metric.counter.value = value;
  Add(name, std::move(metric), std::move(label_values));
}

void Exposition::Set(std::string_view name, const prometheus::Histogram& histogram,
                     std::vector<std::string> label_values) {
  Add(name, histogram.Collect(), std::move(label_values));
}

void Exposition::Add(std::string_view name, prometheus::ClientMetric metric,
                     std::vector<std::string> label_values) {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    CheckFailed(__FILE__, __LINE__, absl::StrCat("no metric is named ", AbslView(name)));
  }
  const std::vector<std::string>& names = table_[found->second].labels;
  DROPBP_CHECK_EQ(names.size(), label_values.size());
  for (size_t i = 0; i < names.size(); ++i) {
    metric.label.push_back({names[i], std::move(label_values[i])});
  }
  families_[found->second].metric.push_back(std::move(metric));
}

std::vector<prometheus::MetricFamily> Exposition::Take() {
  std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
  return std::move(families_);
}

}  // namespace dropbp
