#include "core/plan/allocate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/plan/allocators.h"

namespace dropbp {
namespace {

absl::Status CheckAllocationInput(absl::Span<const int64_t> costs,
                                  absl::Span<const double> sensitivities, double target,
                                  double max_rate) {
  if (costs.empty() || costs.size() != sensitivities.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("allocation: found ", costs.size(), " costs and ", sensitivities.size(),
                     " sensitivities, legal is the same number, at least 1"));
  }
  if (!(target >= 0 && target < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("allocation: found target ", target, ", legal is 0 to below 1"));
  }
  if (!(max_rate >= target && max_rate <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("allocation: found largest unit rate ", max_rate,
                                                   ", legal is the target ", target, " to 1"));
  }
  for (size_t u = 0; u < costs.size(); ++u) {
    if (costs[u] <= 0 || !std::isfinite(sensitivities[u]) || sensitivities[u] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("allocation: unit ", u, ": found cost ", costs[u], " and sensitivity ",
                       sensitivities[u], ", legal is cost >= 1 and finite sensitivity >= 0"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Allocator> ParseAllocator(std::string_view name) {
  if (name == "uniform") return Allocator::kUniform;
  if (name == "quadratic") return Allocator::kQuadratic;
  if (name == "linear") return Allocator::kLinear;
  if (name == "neyman") return Allocator::kNeyman;
  return absl::InvalidArgumentError(absl::StrCat("allocation: found \"", AbslView(name),
                                                 "\", legal is uniform, quadratic, linear or "
                                                 "neyman"));
}

double DefaultMaxUnitRate(double target) { return std::max(0.95, (1 + target) / 2); }

double TotalCost(absl::Span<const int64_t> costs) {
  return static_cast<double>(std::accumulate(costs.begin(), costs.end(), int64_t{0}));
}

absl::StatusOr<std::vector<double>> AllocateDropRates(Allocator allocator,
                                                      absl::Span<const int64_t> costs,
                                                      absl::Span<const double> sensitivities,
                                                      double target, double max_rate) {
  RETURN_IF_ERROR(CheckAllocationInput(costs, sensitivities, target, max_rate));
  const AllocationProblem problem{.costs = costs,
                                  .sensitivities = sensitivities,
                                  .budget = target * TotalCost(costs),
                                  .max_rate = max_rate};
  switch (allocator) {
    case Allocator::kUniform:
      break;
    case Allocator::kQuadratic:
      return QuadraticRates(problem);
    case Allocator::kLinear:
      return LinearRates(problem);
    case Allocator::kNeyman:
      return NeymanRates(problem);
  }
  return std::vector<double>(costs.size(), target);
}

}  // namespace dropbp
