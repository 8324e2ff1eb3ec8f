// Sensitivities -> drop rates. Pure and deterministic; the same bits wherever it runs.
#pragma once

#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"

namespace dropbp {

enum class Allocator { kUniform, kQuadratic };

absl::StatusOr<Allocator> ParseAllocator(std::string_view name);

// max(0.95, (1 + target) / 2): high enough that every target in [0, 1) has an answer.
double DefaultMaxUnitRate(double target);

// Drop rates p_u with sum p_u F_u = target * sum F_u and 0 <= p_u <= max_rate.
// kUniform: p_u = target. kQuadratic: minimises sum S_u p_u^2 / 2, solved exactly by water-filling:
// p_u = min(max_rate, lambda F_u / S_u), lambda from the sorted break points. A unit with S_u = 0
// costs nothing to drop and is filled first; if those alone exceed the budget they share it at one
// rate. Sizes of `costs` and `sensitivities` are equal; sensitivities are finite and >= 0, else
// INVALID_ARGUMENT.
absl::StatusOr<std::vector<double>> AllocateDropRates(Allocator allocator,
                                                      absl::Span<const int64_t> costs,
                                                      absl::Span<const double> sensitivities,
                                                      double target, double max_rate);

}  // namespace dropbp
