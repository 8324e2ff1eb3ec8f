// The optimal allocators behind AllocateDropRates, one file each. Inputs are checked by it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace dropbp {

// What an allocator is given: F_u, S_u, the FLOPs to drop and the largest rate of one unit.
struct AllocationProblem {
  absl::Span<const int64_t> costs;
  absl::Span<const double> sensitivities;
  double budget = 0;
  double max_rate = 1;
};

// Drop rates by unit that spend the budget.
std::vector<double> QuadraticRates(const AllocationProblem& problem);
std::vector<double> LinearRates(const AllocationProblem& problem);
std::vector<double> NeymanRates(const AllocationProblem& problem);

// Sum of F_u; exact, since costs are whole numbers.
double TotalCost(absl::Span<const int64_t> costs);

}  // namespace dropbp
