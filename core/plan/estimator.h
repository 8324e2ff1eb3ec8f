// How gradients of kept units are rescaled (dropbp.estimator), as factors by unit.
#pragma once

#include <vector>

#include "core/plan/drop_plan.h"
#include "core/plan/mask_plan.h"

namespace dropbp {

// 1 / q_u: the factor of the `unbiased` estimator, for the cotangent that enters a unit's branch.
// 1 for a unit that is never kept.
std::vector<double> KeepScales(const DropPlan& plan);

// The factor of the `own` estimator, for a unit's own gradient summed over all rows of a step: rows
// / (rows that keep it) where masks are nested or keep every unit in at least one row (rows * q_u
// >= 1), so that the sum becomes a mean over exactly the sequences that saw the unit; else 1 / q_u.
// 1 for a unit that no row keeps.
std::vector<double> OwnScales(const DropPlan& plan, const std::vector<MaskRow>& rows);

}  // namespace dropbp
