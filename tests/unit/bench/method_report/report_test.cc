#include "bench/method_report/report.h"

#include <gtest/gtest.h>

namespace dropbp::bench {
namespace {

Section TwoRows() {
  return {.key = "speed",
          .heading = "Speed",
          .title = "How fast.",
          .columns = {{"name", "name"}, {"share", "share", 3}, {"residual", "residual"}},
          .rows = {{{"name", "ours"}, {"share", 1.0}, {"residual", 1.23456e-12}},
                   {{"name", "theirs"}, {"share", 0.9521}}}};
}

TEST(ReportTest, MarkdownIsAlignedAndShowsWhatIsMissing) {
  EXPECT_EQ(ToMarkdown(TwoRows()),
            "## Speed\n"
            "How fast.\n"
            "\n"
            "|   name | share | residual |\n"
            "| ------ | ----- | -------- |\n"
            "|   ours | 1.000 | 1.23e-12 |\n"
            "| theirs | 0.952 |        - |\n");
}

TEST(ReportTest, JsonKeepsAllDigits) {
  const auto json = ToJson({TwoRows()});
  EXPECT_EQ(json["speed"]["title"], "How fast.");
  EXPECT_EQ(json["speed"]["rows"][1]["share"], 0.9521);
}

}  // namespace
}  // namespace dropbp::bench
