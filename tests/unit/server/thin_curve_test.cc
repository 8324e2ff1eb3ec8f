#include "server/web/thin_curve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace dropbp::server {
namespace {

using ::testing::Each;
using ::testing::ElementsAreArray;
using ::testing::Field;
using ::testing::SizeIs;

constexpr size_t kMost = 1000;

double Loss(int64_t step) {
  return 3.0 / (1.0 + 0.01 * static_cast<double>(step)) +
         0.3 * std::sin(static_cast<double>(step * step));
}

std::vector<CurvePoint> Course(int64_t steps) {
  std::vector<CurvePoint> points;
  for (int64_t step = 0; step < steps; ++step) {
    points.push_back(
        {.step = step, .loss = Loss(step), .learning_rate = 1e-3, .tokens_per_second = 100});
  }
  return points;
}

std::vector<CurvePoint> Thinned(const std::vector<CurvePoint>& points, size_t most = kMost) {
  ThinCurve curve(most);
  for (const CurvePoint& point : points) curve.Add(point);
  return curve.Points();
}

bool ByLoss(const CurvePoint& a, const CurvePoint& b) { return a.loss < b.loss; }

TEST(ThinCurveTest, KeepsEveryPointOfAShortCurve) {
  for (int64_t steps : {0, 1, 2, 499, 998}) {
    const std::vector<CurvePoint> points = Course(steps);
    EXPECT_THAT(Thinned(points), ElementsAreArray(points)) << steps;
  }
}

TEST(ThinCurveTest, NeverKeepsMoreThanAsked) {
  for (size_t most : {6UL, 10UL, 1000UL}) {
    ThinCurve curve(most);
    for (const CurvePoint& point : Course(20'000)) {
      curve.Add(point);
      if (point.step % 97 != 0) continue;
      ASSERT_LE(curve.Points().size(), most) << point.step;
    }
    EXPECT_EQ(curve.added(), 20'000);
    EXPECT_GE(curve.Points().size(), most / 4);
  }
}

TEST(ThinCurveTest, KeepsTheEndsAndTheExtremesInOrder) {
  for (int64_t steps : {999, 1000, 1001, 4097, 123'457}) {
    const std::vector<CurvePoint> points = Course(steps);
    const std::vector<CurvePoint> kept = Thinned(points);
    EXPECT_EQ(kept.front(), points.front());
    EXPECT_EQ(kept.back(), points.back());
    EXPECT_EQ(std::min_element(kept.begin(), kept.end(), ByLoss)->loss,
              std::min_element(points.begin(), points.end(), ByLoss)->loss);
    EXPECT_EQ(std::max_element(kept.begin(), kept.end(), ByLoss)->loss,
              std::max_element(points.begin(), points.end(), ByLoss)->loss);
    for (size_t i = 0; i < kept.size(); ++i) {
      EXPECT_EQ(kept[i], points[static_cast<size_t>(kept[i].step)]);  // nothing is made up
      EXPECT_TRUE(i == 0 || kept[i - 1].step < kept[i].step);
    }
  }
}

TEST(ThinCurveTest, KeepsALossThatIsNotANumber) {
  std::vector<CurvePoint> points = Course(50'000);
  points[31'415].loss = std::numeric_limits<double>::quiet_NaN();
  points[27'182].loss = std::numeric_limits<double>::infinity();
  int lost = 0;
  for (const CurvePoint& point : Thinned(points)) lost += !std::isfinite(point.loss);
  EXPECT_EQ(lost, 2);
}

TEST(ThinCurveTest, LeavesOutAStepThatCameBefore) {
  ThinCurve curve(kMost);
  for (int64_t step : {0, 1, 1, 0, 2}) curve.Add({.step = step, .loss = 1});
  EXPECT_EQ(curve.added(), 3);
  EXPECT_EQ(curve.next_step(), 3);
  EXPECT_THAT(curve.Points(), SizeIs(3));
  EXPECT_THAT(curve.Points(), Each(Field(&CurvePoint::loss, 1)));
}

TEST(ThinCurveTest, BeginsAtAnyStep) {
  ThinCurve curve(kMost);
  curve.Add({.step = 9'999'999, .loss = 1});
  EXPECT_THAT(curve.Points(), SizeIs(1));
  EXPECT_EQ(curve.next_step(), 10'000'000);
}

}  // namespace
}  // namespace dropbp::server
