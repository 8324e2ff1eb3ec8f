// Allocation problems that the allocators' tests share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/philox.h"
#include "core/plan/allocate.h"

namespace dropbp {

struct Instance {
  std::vector<int64_t> costs;
  std::vector<double> sensitivities;
  double target = 0;
  double max_rate = 1;
};

inline double Total(const std::vector<int64_t>& costs) {
  return static_cast<double>(std::accumulate(costs.begin(), costs.end(), int64_t{0}));
}

// Up to 160 units with zeros, ties and sensitivities up to 10^+-15, any target and cap.
inline Instance RandomInstance(PhiloxStream& random) {
  Instance instance;
  const uint32_t units = 1 + random.Below(160);
  const double spread = random.Uniform() * 30;
  for (uint32_t u = 0; u < units; ++u) {
    instance.costs.push_back(1 + random.Below(u % 2 == 0 ? 1000 : 2000000000));
    const bool zero = random.Below(10) == 0;
    const bool tie = u > 0 && random.Below(5) == 0;
    const double drawn = std::pow(10.0, spread * (random.Uniform() - 0.5));
    instance.sensitivities.push_back(zero ? 0 : tie ? instance.sensitivities.back() : drawn);
    if (tie) instance.costs.back() = instance.costs[u - 1];
  }
  instance.target = random.Below(20) == 0 ? 0 : random.Uniform();
  instance.max_rate = random.Below(3) == 0
                          ? instance.target + (1 - instance.target) * random.Uniform()
                          : DefaultMaxUnitRate(instance.target);
  return instance;
}

inline std::vector<double> RatesOf(Allocator allocator, const Instance& instance) {
  const auto rates = AllocateDropRates(allocator, instance.costs, instance.sensitivities,
                                       instance.target, instance.max_rate);
  EXPECT_TRUE(rates.ok()) << rates.status();
  return rates.value_or(std::vector<double>());
}

// How far the rates are from spending the budget, relative to all FLOPs, or from their bounds.
inline double FeasibilityResidual(const Instance& instance, const std::vector<double>& rates) {
  double spent = 0;
  double residual = 0;
  for (size_t u = 0; u < rates.size(); ++u) {
    spent += rates[u] * static_cast<double>(instance.costs[u]);
    residual = std::max({residual, -rates[u], rates[u] - instance.max_rate});
  }
  const double total = Total(instance.costs);
  return std::max(residual, std::fabs(spent - instance.target * total) / total);
}

}  // namespace dropbp
