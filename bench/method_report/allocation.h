// How good drop rates are, and what finding them costs.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "bench/method_report/report.h"
#include "core/base/status.h"

namespace dropbp::bench {

// Units to allocate for.
struct Instance {
  std::vector<int64_t> costs;
  std::vector<double> sensitivities;
};

// sum S_u p_u^2 / 2.
double QuadraticObjective(const Instance& instance, absl::Span<const double> rates);

// sum p_u F_u / sum F_u.
double DroppedShare(const Instance& instance, absl::Span<const double> rates);

// Largest violation of the conditions that only the optimum of the quadratic problem meets, each
// relative: the budget; 0 <= p <= max_rate; and one lambda with S p = lambda F between the bounds
// and S p <= lambda F at max_rate. For sensitivities above 0.
double KktResidual(const Instance& instance, absl::Span<const double> rates, double target,
                   double max_rate);

// The objective of the authors' greedy rates over the optimum that drops the same FLOPs under the
// same cap of 0.9; 1 if they are optimal. FAILED_PRECONDITION where the greedy rule has no answer.
absl::StatusOr<double> GreedyOverOptimum(const Instance& instance, double target);

// The greedy rule against ours on `instances` drawn instances of LLaMA2-7B, and on `measured` if it
// is not empty (by unit; of the model whose costs are given).
absl::StatusOr<Section> AllocationSection(int64_t instances, const std::string& measured_name,
                                          const Instance& measured);

// Median time of one allocation for 160 units, by allocator, and of making the plan from it.
absl::StatusOr<Section> AllocationTimeSection();

}  // namespace dropbp::bench
