#include <algorithm>
#include <map>

#include "core/plan/allocators.h"

namespace dropbp {

// Fractional knapsack: dropping a FLOP of unit u costs S_u / F_u, so the cheapest are dropped
// first, up to max_rate. Units that cost the same are one item: only so does the answer not depend
// on their order.
std::vector<double> LinearRates(const AllocationProblem& problem) {
  std::map<double, std::vector<size_t>> by_price;
  for (size_t u = 0; u < problem.costs.size(); ++u) {
    by_price[problem.sensitivities[u] / static_cast<double>(problem.costs[u])].push_back(u);
  }
  std::vector<double> rates(problem.costs.size(), 0.0);
  double budget = problem.budget;
  for (const auto& [price, units] : by_price) {
    double flops = 0;
    for (size_t u : units) flops += static_cast<double>(problem.costs[u]);
    const double rate = std::clamp(budget / flops, 0.0, problem.max_rate);
    for (size_t u : units) rates[u] = rate;
    if (rate < problem.max_rate) break;
    budget -= rate * flops;
  }
  return rates;
}

}  // namespace dropbp
