// Builds the answer to one scrape from a table of families.
#pragma once

#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/metrics/metric_table.h"

namespace dropbp {

// Series in the order of the table; a family without series is left out. Not thread-safe; the table
// outlives it. A name that is not in the table, or another number of label values than the table
// has names, ends the program.
class Exposition {
 public:
  explicit Exposition(const MetricTable& table);

  // Adds a gauge's or counter's series; label values in the table's order.
  void Set(std::string_view name, double value, std::vector<std::string> label_values = {});
  void Set(std::string_view name, const prometheus::Histogram& histogram,
           std::vector<std::string> label_values = {});

  std::vector<prometheus::MetricFamily> Take();

 private:
  void Add(std::string_view name, prometheus::ClientMetric metric,
           std::vector<std::string> label_values);

  const MetricTable& table_;
  std::map<std::string_view, size_t> index_;  // by name, into both the table and the families
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace dropbp
