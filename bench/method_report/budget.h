// How much backward compute masks leave, step by step and rank by rank.
#pragma once

#include <functional>
#include <vector>

#include "bench/method_report/report.h"
#include "core/base/status.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"

namespace dropbp::bench {

// The mask rows of one step, one for each rank.
using StepRows = std::function<std::vector<MaskRow>(int64_t step)>;

struct KeptShare {
  double mean = 0;       // kept backward FLOPs of a row over the budget (1 - target) * sum F_u
  double deviation = 0;  // from row to row, in the same unit
  double slowest = 0;    // E[max over the ranks of a step] over the budget
  double mean_of_planned = 0;       // as mean, over what the plan says instead of the budget
  double deviation_of_planned = 0;  // exactly 0 if every row costs what is planned
};

// Measured over `steps` steps. `planned`: planned drop rate, equal to the target where there is no
// plan.
KeptShare MeasureKeptShare(const LayerTable& table, double target, double planned, int64_t steps,
                           const StepRows& rows);

// Ours at one rate for all units, the paper's and the authors' masks.
StepRows RulerRows(const DropPlan& plan, int ranks);
StepRows BernoulliRows(const std::vector<double>& drop_rates, int ranks);
StepRows CountingRows(const std::vector<double>& drop_rates, double target, int ranks);

// Kept compute over the budget on one rank, at each of the rates .5, .75 and .875.
absl::StatusOr<Section> BudgetSection(int64_t steps);

// E[max over ranks] over the budget on 8 and 64 ranks, at the same rates.
absl::StatusOr<Section> StragglerSection(int64_t steps);

}  // namespace dropbp::bench
