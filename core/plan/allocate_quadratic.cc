#include <algorithm>
#include <numeric>

#include "core/plan/allocators.h"

namespace dropbp {
namespace {

// Water-filling. With w_u = S_u / F_u the optimum is p_u = min(max_rate, lambda / w_u): units fill
// up at the break points lambda = max_rate * w_u, smallest w_u first.
class WaterFilling {
 public:
  explicit WaterFilling(const AllocationProblem& problem)
      : costs_(problem.costs),
        max_rate_(problem.max_rate),
        weights_(costs_.size()),
        order_(costs_.size()) {
    for (size_t u = 0; u < costs_.size(); ++u) {
      weights_[u] = problem.sensitivities[u] / static_cast<double>(costs_[u]);
    }
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::sort(order_.begin(), order_.end(), [this](size_t a, size_t b) {
      return weights_[a] != weights_[b] ? weights_[a] < weights_[b] : a < b;
    });
  }

  // Rates that spend exactly `budget` FLOPs.
  std::vector<double> Spend(double budget) const {
    std::vector<double> rates(costs_.size(), 0.0);
    size_t begin = 0;
    double free_flops = 0;
    for (; begin < order_.size() && weights_[order_[begin]] == 0; ++begin)
      free_flops += Cost(begin);
    const bool free_suffice = budget <= max_rate_ * free_flops;
    for (size_t i = 0; i < begin; ++i) {
      rates[order_[i]] = free_suffice ? std::min(max_rate_, budget / free_flops) : max_rate_;
    }
    if (!free_suffice) SpendFrom(begin, budget - max_rate_ * free_flops, rates);
    return rates;
  }

 private:
  double Cost(size_t i) const { return static_cast<double>(costs_[order_[i]]); }
  double Weight(size_t i) const { return weights_[order_[i]]; }

  // FLOPs that units i and above, in the order of filling, spend when unit i is just full: max_rate
  // * flops[i] with flops[i] = sum over k >= i of F_k w_i / w_k. In this form nothing overflows,
  // however far apart the weights lie.
  std::vector<double> FlopsWhenFull(size_t begin) const {
    std::vector<double> flops(order_.size());
    double above = 0;
    for (size_t i = order_.size(); i-- > begin;) {
      if (i + 1 < order_.size()) above *= Weight(i) / Weight(i + 1);
      above += Cost(i);
      flops[i] = above;
    }
    return flops;
  }

  void SpendFrom(size_t begin, double budget, std::vector<double>& rates) const {
    const std::vector<double> flops = FlopsWhenFull(begin);
    size_t i = begin;
    for (; i < order_.size() && max_rate_ * flops[i] < budget; ++i) {
      rates[order_[i]] = max_rate_;
      budget -= max_rate_ * Cost(i);
    }
    if (i == order_.size() || budget <= 0) return;
    const double rate_of_i = budget / flops[i];
    for (size_t k = i; k < order_.size(); ++k) {
      rates[order_[k]] = std::min(max_rate_, rate_of_i * (Weight(i) / Weight(k)));
    }
  }

  absl::Span<const int64_t> costs_;
  double max_rate_;
  std::vector<double> weights_;
  std::vector<size_t> order_;
};

}  // namespace

std::vector<double> QuadraticRates(const AllocationProblem& problem) {
  return WaterFilling(problem).Spend(problem.budget);
}

}  // namespace dropbp
