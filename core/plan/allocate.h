// Sensitivities -> drop rates. Pure and deterministic; the same bits wherever it runs.
#pragma once

#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"

namespace dropbp {

enum class Allocator { kUniform, kQuadratic, kLinear, kNeyman };

absl::StatusOr<Allocator> ParseAllocator(std::string_view name);

// max(0.95, (1 + target) / 2): high enough that every target in [0, 1) has an answer.
double DefaultMaxUnitRate(double target);

// Drop rates p_u with sum p_u F_u = target * sum F_u and 0 <= p_u <= max_rate, at the optimum of
// the allocator's objective. With q_u = 1 - p_u:
// kUniform: p_u = target.
// kQuadratic: minimises sum S_u p_u^2 / 2, by water-filling: p_u = min(max_rate, lambda F_u / S_u).
// kLinear: minimises sum S_u p_u, a fractional knapsack: units are filled up in ascending order of
// S_u / F_u, units of equal S_u / F_u together at one rate.
// kNeyman: minimises sum S_u (1 / q_u - 1), the variance of rescaled gradients:
// q_u = clip(c sqrt(S_u / F_u), 1 - max_rate, 1).
// A unit with S_u = 0 costs nothing to drop and is filled first; if those alone exceed the budget
// they share it at one rate. Sizes of `costs` and `sensitivities` are equal; costs are >= 1,
// sensitivities finite and >= 0, else INVALID_ARGUMENT.
absl::StatusOr<std::vector<double>> AllocateDropRates(Allocator allocator,
                                                      absl::Span<const int64_t> costs,
                                                      absl::Span<const double> sensitivities,
                                                      double target, double max_rate);

}  // namespace dropbp
