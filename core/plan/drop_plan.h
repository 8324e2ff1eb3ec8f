// Drop rates made ready for drawing, in integers. For the ruler their sum over each stratum is a
// whole number of units, so that every mask row keeps the same number of units of each stratum and
// every step costs the same.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/plan/layer_table.h"

namespace dropbp {

// Keep rates are integers in units of 2^-24.
inline constexpr uint32_t kKeepOne = 1u << 24;

// How nested masks (nested_masks.h) arrange the rows of one rank's step; rows is 0 for the ruler.
struct NestedBlock {
  int32_t rows = 0;         // micro-steps * groups
  int32_t groups = 1;       // of one micro-batch
  int64_t kept_layers = 0;  // over all rows; of a window's steps where rows is 1

  bool operator==(const NestedBlock&) const = default;
};

struct DropPlan {
  int32_t version = 1;
  int64_t first_step = 0;
  double target = 0;   // as asked
  double planned = 0;  // by backward FLOPs, after rounding; realised exactly in every row (the
                       // ruler), in every step of a rank with several rows (nested), or in every
                       // window of steps with one row (nested)
  std::vector<uint32_t> keep_rates = {};   // v_u, by unit
  std::vector<int32_t> unit_stratum = {};  // stratum of each unit
  std::vector<int32_t> kept_in_stratum =
      {};  // the ruler's n_s: units kept in every row, by stratum
  NestedBlock block = {};

  bool nested() const { return block.rows > 0; }

  double DropRate(size_t unit) const {
    return 1.0 - static_cast<double>(keep_rates[unit]) / kKeepOne;
  }
};

// Rounds each stratum so that its keep rates sum to a whole n_s, choosing the n_s whose total cost
// is nearest to the budget (at least one unit kept in all) and moving rates as little as possible
// within [0, 1].
absl::StatusOr<DropPlan> MakeDropPlan(const LayerTable& table, absl::Span<const double> drop_rates,
                                      double target, int32_t version, int64_t first_step);

// FNV-1a 64 over version, first step and keep rates: equal on every rank.
uint64_t PlanHash(const DropPlan& plan);

// Best possible step-time ratio of drop rate 0 over this plan, FLOPs counted: forward and head are
// not dropped. `supervised_share` is the share of tokens whose logits are computed.
double SpeedLimit(const LayerTable& table, const DropPlan& plan, double supervised_share);

}  // namespace dropbp
