#include "bench/method_report/traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::bench {
namespace {

using ::testing::DoubleNear;

TEST(TrafficSectionTest, WhatIsSentFollowsTheFormulaForAllRates) {
  const Section section = *TrafficSection(/*steps=*/2000);
  ASSERT_EQ(section.rows.size(), 18u);
  for (const auto& row : section.rows) {
    SCOPED_TRACE(row.dump());
    const double formula = row["formula"];
    EXPECT_THAT(row["sent_over_dense"].get<double>(), DoubleNear(formula, 0.01));
    if (row["rates"] == "uniform" && row["mask_rows"] == 1) {
      EXPECT_EQ(row["least"], row["most"]) << "every step sends the same";
    }
  }
}

// What design and documentation state of LLaMA2-7B.
TEST(TrafficSectionTest, OneSharedRowSendsAboutWhatIsKept) {
  const Section section = *TrafficSection(/*steps=*/1);
  EXPECT_THAT(section.rows[0]["sent_over_dense"].get<double>(), DoubleNear(0.519, 5e-4));
  EXPECT_THAT(section.rows[2]["sent_over_dense"].get<double>(), DoubleNear(0.279, 5e-4));
  EXPECT_THAT(section.rows[4]["sent_over_dense"].get<double>(), DoubleNear(0.159, 5e-4));
}

}  // namespace
}  // namespace dropbp::bench
