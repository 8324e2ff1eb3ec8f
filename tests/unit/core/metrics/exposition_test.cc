#include "core/metrics/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace dropbp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const MetricTable& Table() {
  static const MetricTable table = {
      {"first_seconds", MetricKind::kGauge, {}, "What comes first."},
      {"calls_total", MetricKind::kCounter, {"method", "code"}, "Calls."},
      {"wait_seconds", MetricKind::kHistogram, {}, "Waiting.", {0.5, 2}},
  };
  return table;
}

TEST(ExpositionTest, WritesSeriesInTheOrderOfTheTable) {
  Exposition out(Table());
  out.Set("calls_total", 3, {"Get", "OK"});
  out.Set("first_seconds", 1.5);
  EXPECT_EQ(prometheus::TextSerializer().Serialize(out.Take()),
            "# HELP first_seconds What comes first.\n"
            "# TYPE first_seconds gauge\n"
            "first_seconds 1.5\n"
            "# HELP calls_total Calls.\n"
            "# TYPE calls_total counter\n"
            "calls_total{method=\"Get\",code=\"OK\"} 3\n");
}

TEST(ExpositionTest, WritesHistograms) {
  Exposition out(Table());
  prometheus::Histogram wait(FindMetric(Table(), "wait_seconds").buckets);
  wait.Observe(1);
  out.Set("wait_seconds", wait);
  const std::string text = prometheus::TextSerializer().Serialize(out.Take());
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"0.5\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("wait_seconds_bucket{le=\"2\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("first_seconds")));
}

TEST(ExpositionDeathTest, RefusesWhatIsNotInTheTable) {
  Exposition out(Table());
  EXPECT_DEATH(out.Set("second_seconds", 1), "no metric is named second_seconds");
  EXPECT_DEATH(out.Set("calls_total", 1, {"Get"}), "2 vs. 1");
}

TEST(MetricTableTest, RendersARowForEachFamily) {
  EXPECT_EQ(RenderMetricsMarkdown(Table()),
            "| Metric | Type | Labels | Meaning |\n"
            "| --- | --- | --- | --- |\n"
            "| `first_seconds` | gauge |  | What comes first. |\n"
            "| `calls_total` | counter | method, code | Calls. |\n"
            "| `wait_seconds` | histogram |  | Waiting. Buckets: 0.5, 2. |\n");
}

}  // namespace
}  // namespace dropbp
