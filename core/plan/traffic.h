// What selective all-reduce sends of a plan, before any mask is drawn.
#pragma once

#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"

namespace dropbp {

// Probability that a unit is kept in at least one of the `rows` mask rows of an optimizer step:
// min(1, rows * q_u). Exact for the ruler, whose marks of all rows together lie 1 / rows apart. For
// nested masks the same block by block, but for the rows that are moved to meet the budget.
double LiveProbability(const DropPlan& plan, size_t unit, int rows);

// Trainable elements whose gradients one optimizer step holds and sends, in expectation: those of
// units that some row keeps, and of what is never dropped.
double ExpectedLiveElements(const LayerTable& table, const DropPlan& plan, int rows);

// Gradient bytes of one optimizer step relative to a dense all-reduce, in expectation.
double TrafficFactor(const LayerTable& table, const DropPlan& plan, int rows);

}  // namespace dropbp
