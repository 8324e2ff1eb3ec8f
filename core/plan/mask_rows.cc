// Which mask rows an optimizer step has, and which of them a group of sequences uses.
#include <algorithm>

#include "core/base/check.h"
#include "core/plan/mask_plan.h"

namespace dropbp {
namespace {

// More rows let a step train deep layers more often, but make the pieces of a kept unit's backward
// pass smaller.
constexpr int64_t kMostGroups = 8;

int MicroSteps(const JobSpec& spec) {
  return static_cast<int>(MicroBatchesPerStep(spec) / spec.resources.ranks);
}

// Micro-batches of one optimizer step that draw masks of their own.
int DrawingMicroBatches(const JobSpec& spec) {
  const std::string masks = ResolvedMasks(spec);
  if (masks == "single") return 1;
  return masks == "balanced" ? static_cast<int>(MicroBatchesPerStep(spec)) : MicroSteps(spec);
}

}  // namespace

int MaskGroups(const JobSpec& spec) {
  if (spec.dropbp.mask_groups > 0) return static_cast<int>(spec.dropbp.mask_groups);
  if (ResolvedMasks(spec) != "balanced") return 1;
  int64_t groups = std::min(kMostGroups, spec.training.micro_batch_size);
  while (spec.training.micro_batch_size % groups != 0) --groups;
  return static_cast<int>(groups);
}

int MaskRowsOfRank(const JobSpec& spec) {
  return (ResolvedMasks(spec) == "single" ? 1 : MicroSteps(spec)) * MaskGroups(spec);
}

int MaskRows(const JobSpec& spec) { return DrawingMicroBatches(spec) * MaskGroups(spec); }

int MaskRowIndex(const JobSpec& spec, int rank, int micro_step, int group) {
  const int micro_steps = MicroSteps(spec);
  const int groups = MaskGroups(spec);
  DROPBP_CHECK(rank >= 0 && rank < spec.resources.ranks);
  DROPBP_CHECK(micro_step >= 0 && micro_step < micro_steps);
  DROPBP_CHECK(group >= 0 && group < groups);
  const std::string masks = ResolvedMasks(spec);
  if (masks == "single") return group;
  const int micro_batch = masks == "balanced" ? rank * micro_steps + micro_step : micro_step;
  return micro_batch * groups + group;
}

}  // namespace dropbp
