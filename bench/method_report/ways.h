// The ways to make masks that the report compares: the paper's, the authors' and ours.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"

namespace dropbp::bench {

// The mask rows of one step, those of a rank one after the other.
using StepRows = std::function<std::vector<MaskRow>(int64_t step)>;

// A job by what its masks depend on.
struct MaskedJob {
  std::string allocation;  // as dropbp.allocation
  double target = 0;
  int ranks = 1;
  int rows = 1;         // of one rank's step
  bool shared = false;  // rows are micro-steps', the same on every rank; else groups' of one
                        // micro-batch
};

// The masks of that job, made as the service makes them. `sensitivities`: by unit, for allocations
// that follow them; empty: as before the first probe.
absl::StatusOr<MaskPlan> MasksOf(const LayerTable& table, const MaskedJob& job,
                                 absl::Span<const double> sensitivities = {});

// Ours; the paper's and the authors' masks, each rank with a generator of its own that runs on from
// step to step.
StepRows OurRows(MaskPlan masks);
StepRows BernoulliRows(const std::vector<double>& drop_rates, int ranks);
StepRows CountingRows(const std::vector<double>& drop_rates, double target, int ranks);

// One way, ready to draw.
struct Way {
  std::string masks;
  std::string rates;
  double planned = 0;    // drop rate; the target where there is no plan
  int rows_of_rank = 1;  // in one step
  StepRows rows = {};
};

// All ways at a target: with uniform rates, with rates that follow sensitivities (drawn, the same
// for all), and the default of a LoRA job, depth with 8 rows a rank.
absl::StatusOr<std::vector<Way>> AllWays(const LayerTable& table, double target, int ranks);

}  // namespace dropbp::bench
