#include "server/web/thin_curve.h"

#include <cmath>
#include <limits>

namespace dropbp::server {
namespace {

double Height(const CurvePoint& point) {
  return std::isnan(point.loss) ? std::numeric_limits<double>::infinity() : point.loss;
}

// Of equals the earlier one stays.
const CurvePoint& Lower(const CurvePoint& a, const CurvePoint& b) {
  return Height(b) < Height(a) ? b : a;
}
const CurvePoint& Higher(const CurvePoint& a, const CurvePoint& b) {
  return Height(b) > Height(a) ? b : a;
}

void AppendUnlessThere(const CurvePoint& point, std::vector<CurvePoint>& points) {
  if (points.empty() || points.back().step < point.step) points.push_back(point);
}

}  // namespace

void ThinCurve::Add(const CurvePoint& point) {
  if (point.step < next_step()) return;
  if (!first_) first_ = point;
  newest_ = point;
  ++added_;
  while (true) {
    const int64_t index = point.step / width_;
    if (!buckets_.empty() && buckets_.back().index == index) {
      Bucket& bucket = buckets_.back();
      bucket.lowest = Lower(bucket.lowest, point);
      bucket.highest = Higher(bucket.highest, point);
      return;
    }
    if (buckets_.size() < most_buckets_) {
      buckets_.push_back({.index = index, .lowest = point, .highest = point});
      return;
    }
    Widen();
  }
}

void ThinCurve::Widen() {
  width_ *= 2;
  std::vector<Bucket> wider;
  for (const Bucket& bucket : buckets_) {
    const int64_t index = bucket.index / 2;
    if (wider.empty() || wider.back().index != index) {
      wider.push_back({.index = index, .lowest = bucket.lowest, .highest = bucket.highest});
      continue;
    }
    wider.back().lowest = Lower(wider.back().lowest, bucket.lowest);
    wider.back().highest = Higher(wider.back().highest, bucket.highest);
  }
  buckets_ = std::move(wider);
}

std::vector<CurvePoint> ThinCurve::Points() const {
  std::vector<CurvePoint> points;
  if (first_) points.push_back(*first_);
  for (const Bucket& bucket : buckets_) {
    const bool low_first = bucket.lowest.step <= bucket.highest.step;
    AppendUnlessThere(low_first ? bucket.lowest : bucket.highest, points);
    AppendUnlessThere(low_first ? bucket.highest : bucket.lowest, points);
  }
  if (newest_) AppendUnlessThere(*newest_, points);
  return points;
}

}  // namespace dropbp::server
