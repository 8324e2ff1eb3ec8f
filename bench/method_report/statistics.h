// Small statistics of a report.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

namespace dropbp::bench {

// Running mean and standard deviation (Welford).
class Moments {
 public:
  void Add(double value) {
    ++count_;
    const double delta = value - mean_;
    mean_ += delta / static_cast<double>(count_);
    squares_ += delta * (value - mean_);
  }
  double mean() const { return mean_; }
  // Of the population.
  double deviation() const {
    return count_ == 0 ? 0 : std::sqrt(squares_ / static_cast<double>(count_));
  }

 private:
  int64_t count_ = 0;
  double mean_ = 0;
  double squares_ = 0;
};

// `values` is not empty.
inline double Median(std::vector<double> values) {
  const size_t upper = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(upper), values.end());
  const double high = values[upper];
  if (values.size() % 2 == 1) return high;
  return (*std::max_element(values.begin(), values.begin() + static_cast<int64_t>(upper)) + high) /
         2;
}

template <typename Body>
double SecondsOf(const Body& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace dropbp::bench
