// The families of metrics that a program exposes, in one table: what is exposed and what
// docs/metrics.md says both come from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dropbp {

enum class MetricKind { kGauge, kCounter, kHistogram };

// One family. Names have base units, and `_total` at the end of a counter's.
struct MetricInfo {
  std::string name;
  MetricKind kind = MetricKind::kGauge;
  std::vector<std::string> labels;
  std::string help;
  std::vector<double> buckets = {};  // upper bounds; of a histogram
};

using MetricTable = std::vector<MetricInfo>;

// The row of that name; the program ends if there is none, since the name is written in the code.
const MetricInfo& FindMetric(const MetricTable& table, std::string_view name);

// The table in Markdown: a row for each family.
std::string RenderMetricsMarkdown(const MetricTable& table);

}  // namespace dropbp
