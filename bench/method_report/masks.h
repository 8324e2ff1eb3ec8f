// What a mask row costs, and whether the ruler keeps units as often as it should.
#pragma once

#include "bench/method_report/report.h"
#include "core/base/status.h"
#include "core/plan/mask_plan.h"

namespace dropbp::bench {

// How often each unit is kept over `steps` steps of a plan drawn with one row: the largest
// |kept - steps * q_u| in standard deviations. Infinite if a unit that is always or never kept was
// not.
double LargestMarginalZ(const DropPlan& plan, int64_t steps);

// (step, unit) pairs of `steps` steps in which the unit is kept neither floor nor ceil of rows *
// q_u times.
int64_t CountsOutsideFloorCeil(const DropPlan& plan, int rows, int64_t steps);

// Both, and nanoseconds a row of the ruler and of nested masks, for models of 64 and 160 units.
absl::StatusOr<Section> MaskSection(int64_t steps);

}  // namespace dropbp::bench
