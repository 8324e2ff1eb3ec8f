// A curve of any length kept as few points, so that a page can draw it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace dropbp::server {

struct CurvePoint {
  int64_t step = 0;
  double loss = 0;
  double learning_rate = 0;
  double tokens_per_second = 0;

  bool operator==(const CurvePoint&) const = default;
};

// Takes points one by one and keeps at most `most_points` of them. Steps are put into buckets of
// equal width, and each bucket keeps its lowest and its highest loss, so that no spike is lost; a
// loss that is not a number counts as the highest. When there are too many buckets their width is
// doubled. What is kept follows from the points alone, not from when they came. The first and the
// newest point are always kept. Memory and time of one point are bounded. Not thread-safe.
class ThinCurve {
 public:
  // `most_points` is at least 6.
  explicit ThinCurve(size_t most_points) : most_buckets_((most_points - 2) / 2) {}

  // Steps must rise; a point that does not is left out.
  void Add(const CurvePoint& point);
  // What is kept, by step.
  std::vector<CurvePoint> Points() const;
  // Number of points that were added.
  int64_t added() const { return added_; }
  // The step after the newest; 0 before the first.
  int64_t next_step() const { return newest_ ? newest_->step + 1 : 0; }

 private:
  struct Bucket {
    int64_t index = 0;  // step / width_
    CurvePoint lowest;
    CurvePoint highest;
  };
  void Widen();

  size_t most_buckets_;
  int64_t width_ = 1;
  int64_t added_ = 0;
  std::optional<CurvePoint> first_;
  std::optional<CurvePoint> newest_;
  std::vector<Bucket> buckets_;
};

}  // namespace dropbp::server
