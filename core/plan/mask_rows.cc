// Which mask rows an optimizer step has, and which of them a micro-batch uses.
#include "core/base/check.h"
#include "core/plan/mask_plan.h"

namespace dropbp {
namespace {

int MicroSteps(const JobSpec& spec) {
  return static_cast<int>(MicroBatchesPerStep(spec) / spec.resources.ranks);
}

bool IsBalanced(const JobSpec& spec) { return ResolvedMasks(spec) == "balanced"; }

}  // namespace

int MaskRows(const JobSpec& spec) {
  return IsBalanced(spec) ? static_cast<int>(MicroBatchesPerStep(spec)) : MicroSteps(spec);
}

int MaskRowIndex(const JobSpec& spec, int rank, int micro_step) {
  const int micro_steps = MicroSteps(spec);
  DROPBP_CHECK(rank >= 0 && rank < spec.resources.ranks);
  DROPBP_CHECK(micro_step >= 0 && micro_step < micro_steps);
  return IsBalanced(spec) ? rank * micro_steps + micro_step : micro_step;
}

}  // namespace dropbp
