// How much backward compute masks leave, step by step and rank by rank.
#pragma once

#include "bench/method_report/report.h"
#include "bench/method_report/ways.h"
#include "core/base/status.h"
#include "core/plan/layer_table.h"

namespace dropbp::bench {

struct KeptShare {
  double mean = 0;                  // kept backward FLOPs of a rank's step over the budget
  double deviation = 0;             // from step to step, in the same unit
  double slowest = 0;               // E[max over the ranks of a step] over the budget
  double mean_of_planned = 0;       // as mean, over what the plan says instead of the budget
  double deviation_of_planned = 0;  // exactly 0 if every step costs what is planned
};

// Measured over `steps` steps; the budget of a rank's step is (1 - target) * sum F_u for each of
// its rows.
KeptShare MeasureKeptShare(const LayerTable& table, double target, const Way& way, int64_t steps);

// Kept compute over the budget on one rank, at each of the rates .5, .75 and .875.
absl::StatusOr<Section> BudgetSection(int64_t steps);

// E[max over ranks] over the budget on 8 and 64 ranks, at the same rates.
absl::StatusOr<Section> StragglerSection(int64_t steps);

}  // namespace dropbp::bench
