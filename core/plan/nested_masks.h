// Nested masks: every row keeps the layers from some height up, and nothing below.
//
// Note [Why from the top]
// A unit's gradient needs the backward passes of all units above it. Where units are dropped here
// and there, a kept unit's gradient lacks the paths through the dropped units above: it is biased,
// the more the deeper it lies. Where a row keeps the layers from a height up, everything above a
// kept unit is kept too, so its gradient is exact; divided by its keep rate (the `own` estimator)
// it estimates plain training's without bias, but for what step c moves. Deep units are kept in
// fewer rows instead.
//
// Protocol, for one optimizer step, block by block (a block: the rows of one rank's step, row
// m * groups + g being group g of micro-step m):
//   a. permute the micro-steps and draw one offset, which stratifies the rows' draws over
//      [0, 2^24): groups divide it evenly, micro-steps divide a group's part; every second group
//      (micro-step, if there is one group) mirrors the one before it, so that a long row goes with
//      a short one;
//   b. a row keeps the layers whose keep rate exceeds its draw: from the top, since rates never
//      fall with height;
//   c. if the block has several rows: move the rows' heights by one layer, in turn from a drawn
//      row on, until the block keeps exactly kept_in_block layers.
// So every step of every rank costs the same where all layers do (some models have layers with a
// window, which cost less).
//
// With a single row a block there is no other row to make up for it: kNestedWindow steps in a row,
// from the plan's first one on, take the rows of one such block of micro-steps in turn. So the
// budget is met exactly in every window, each step keeps at least one layer, and all blocks draw
// alike.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/status.h"
#include "core/plan/drop_plan.h"

namespace dropbp {

// Steps that share a block where a step has a single row.
inline constexpr int kNestedWindow = 8;

// Keep rates that rise with height h in (0, 1) as h^a, with a such that their mean is 1 - target,
// as nearly as whole layers in a block of `rows` rows (or in a window) allow: a is about target /
// (1 - target). At high targets the deepest layers are hardly ever kept. Both units of a layer have
// one rate. `rows`: a multiple of `groups`. INVALID_ARGUMENT for a table whose units are not an
// attention and an MLP for each layer.
absl::StatusOr<DropPlan> MakeNestedPlan(const LayerTable& table, int rows, int groups,
                                        double target, int32_t version, int64_t first_step);

// Rows of one block of a step, in row order. plan.nested() holds.
std::vector<std::vector<bool>> DrawNestedBlock(const DropPlan& plan, uint64_t seed, int64_t step,
                                               uint32_t block);

}  // namespace dropbp
