#include "core/metrics/metric_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "core/base/text.h"

namespace dropbp {
namespace {

const char* KindName(MetricKind kind) {
  switch (kind) {
    case MetricKind::kGauge:
      return "gauge";
    case MetricKind::kCounter:
      return "counter";
    case MetricKind::kHistogram:
      return "histogram";
  }
  return "";
}

std::string Meaning(const MetricInfo& metric) {
  if (metric.buckets.empty()) return metric.help;
  return absl::StrCat(metric.help, " Buckets: ", absl::StrJoin(metric.buckets, ", "), ".");
}

}  // namespace

const MetricInfo& FindMetric(const MetricTable& table, std::string_view name) {
  for (const MetricInfo& metric : table) {
    if (metric.name == name) return metric;
  }
  CheckFailed(__FILE__, __LINE__, absl::StrCat("no metric is named ", AbslView(name)));
}

std::string RenderMetricsMarkdown(const MetricTable& table) {
  std::string markdown =
      "| Metric | Type | Labels | Meaning |\n"
      "| --- | --- | --- | --- |\n";
  for (const MetricInfo& metric : table) {
    absl::StrAppend(&markdown, "| `", metric.name, "` | ", KindName(metric.kind), " | ",
                    absl::StrJoin(metric.labels, ", "), " | ", Meaning(metric), " |\n");
  }
  return markdown;
}

}  // namespace dropbp
