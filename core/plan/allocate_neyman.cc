#include <algorithm>
#include <cmath>

#include "core/plan/allocators.h"

namespace dropbp {
namespace {

// With w_u = sqrt(S_u / F_u) the optimum is q_u = clip(c w_u, q_min, 1), and the FLOPs kept,
// sum q_u F_u, rise with c in straight pieces. So c is exact: find the piece, then solve it.
class NeymanSolver {
 public:
  explicit NeymanSolver(const AllocationProblem& problem)
      : problem_(problem), least_(1 - problem.max_rate) {
    for (size_t u = 0; u < problem.costs.size(); ++u) {
      // Two roots: the quotient itself may be too small for a double.
      weights_.push_back(std::sqrt(problem.sensitivities[u]) / std::sqrt(Cost(u)));
    }
  }

  std::vector<double> Solve() const {
    double free_flops = 0;
    for (size_t u = 0; u < weights_.size(); ++u) free_flops += weights_[u] == 0 ? Cost(u) : 0;
    const double total = TotalCost(problem_.costs);
    // What is left to keep when units that cost nothing to drop are dropped as far as they may be.
    const double kept = total - problem_.budget - least_ * free_flops;
    const bool free_suffice = problem_.budget <= problem_.max_rate * free_flops;
    const double c = free_suffice ? 0 : ScaleThatKeeps(std::max(kept, 0.0));
    std::vector<double> rates(weights_.size());
    for (size_t u = 0; u < weights_.size(); ++u) {
      if (weights_[u] == 0) {
        rates[u] = free_suffice ? problem_.budget / free_flops : problem_.max_rate;
      } else {
        rates[u] = free_suffice ? 0 : std::min(problem_.max_rate, 1 - Keep(u, c));
      }
    }
    return rates;
  }

 private:
  double Cost(size_t u) const { return static_cast<double>(problem_.costs[u]); }
  double Keep(size_t u, double c) const { return std::clamp(c * weights_[u], least_, 1.0); }

  // FLOPs kept of the units that matter.
  double Kept(double c) const {
    double flops = 0;
    for (size_t u = 0; u < weights_.size(); ++u) {
      if (weights_[u] > 0) flops += Keep(u, c) * Cost(u);
    }
    return flops;
  }

  // Values of c at which some unit leaves q_min or reaches 1, ascending, from 0.
  std::vector<double> BreakPoints() const {
    std::vector<double> points = {0};
    for (double weight : weights_) {
      if (weight == 0) continue;
      points.push_back(least_ / weight);
      points.push_back(1 / weight);
    }
    std::sort(points.begin(), points.end());
    return points;
  }

  double ScaleThatKeeps(double flops) const {
    const std::vector<double> points = BreakPoints();
    const auto above = std::partition_point(points.begin(), points.end(),
                                            [&](double c) { return Kept(c) <= flops; });
    if (above == points.begin()) return 0;            // everything is at q_min
    if (above == points.end()) return points.back();  // everything is kept
    const double begin = *std::prev(above);
    double fixed = 0;
    double slope = 0;
    for (size_t u = 0; u < weights_.size(); ++u) {
      if (weights_[u] == 0) continue;
      const bool moves = least_ / weights_[u] <= begin && 1 / weights_[u] >= *above;
      (moves ? slope : fixed) += moves ? weights_[u] * Cost(u) : Keep(u, begin) * Cost(u);
    }
    return slope > 0 ? std::clamp((flops - fixed) / slope, begin, *above) : begin;
  }

  const AllocationProblem& problem_;
  double least_;  // q_min
  std::vector<double> weights_;
};

}  // namespace

std::vector<double> NeymanRates(const AllocationProblem& problem) {
  return NeymanSolver(problem).Solve();
}

}  // namespace dropbp
