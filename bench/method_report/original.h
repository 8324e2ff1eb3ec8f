// What the service is compared with: how the paper's text and how the authors' published code
// choose what to drop. Written for this report by our reading of how they do it; the service
// uses none of it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/base/philox.h"
#include "core/base/status.h"
#include "core/plan/mask_plan.h"

namespace dropbp::bench {

// The authors' allocation: rates rise from 0 in steps of 0.1, each time that of the unit with the
// smallest S_u * (p_u + 0.1), up to 0.9, until they sum to target * units. Costs play no part.
// FAILED_PRECONDITION when no unit can rise any more, which is so for every target above 0.9.
absl::StatusOr<std::vector<double>> GreedyRates(absl::Span<const double> sensitivities,
                                                double target);

// The paper's text: each unit is dropped by a coin of its own.
class BernoulliSampler {
 public:
  BernoulliSampler(std::vector<double> drop_rates, uint64_t seed)
      : drop_rates_(std::move(drop_rates)), random_(seed, 0, 0) {}
  MaskRow Draw();

 private:
  std::vector<double> drop_rates_;
  PhiloxStream random_;
};

// The authors' code: a coin for each unit, and no more units kept than (1 - target) * units,
// rounded. Units are counted, whatever they cost. Units are visited in a random order; those that
// come when the count is reached are dropped.
class CountingSampler {
 public:
  CountingSampler(std::vector<double> drop_rates, double target, uint64_t seed);
  MaskRow Draw();

 private:
  std::vector<double> drop_rates_;
  int64_t most_kept_;
  PhiloxStream random_;
};

}  // namespace dropbp::bench
