#include "bench/method_report/statistics.h"

#include <gtest/gtest.h>

namespace dropbp::bench {
namespace {

TEST(MedianTest, IsTheMiddleOrTheMeanOfTheTwoMiddleValues) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 3, 2}), 2.5);
}

TEST(MomentsTest, AreMeanAndDeviation) {
  Moments moments;
  for (double value : {2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0}) moments.Add(value);
  EXPECT_DOUBLE_EQ(moments.mean(), 5);
  EXPECT_DOUBLE_EQ(moments.deviation(), 2);
}

TEST(MomentsTest, OfEqualValuesDeviateByExactlyNothing) {
  Moments moments;
  for (int i = 0; i < 1000; ++i) moments.Add(0.1 + 0.2);
  EXPECT_EQ(moments.deviation(), 0);
}

}  // namespace
}  // namespace dropbp::bench
