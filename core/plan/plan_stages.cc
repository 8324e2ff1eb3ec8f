#include "core/plan/plan_stages.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/plan/allocate.h"
#include "core/plan/mask_plan.h"
#include "core/plan/nested_masks.h"

namespace dropbp {
namespace {

constexpr int64_t kScheduleStages = 8;
// Shares such as 0.29 have no exact double: 0.29 * 100 must still count as 29.
constexpr double kSlack = 1e-9;

// First step -> target from there on.
using Course = std::map<int64_t, double>;

int64_t ScheduleSteps(const JobSpec& spec, int64_t total_steps) {
  const double share = spec.dropbp.schedule_share * static_cast<double>(total_steps);
  return std::min(static_cast<int64_t>(std::floor(share + kSlack)), total_steps - 1);
}

Course CourseOf(const JobSpec& spec, int64_t total_steps) {
  const double target = spec.dropbp.drop_rate;
  const int64_t steps = ScheduleSteps(spec, total_steps);
  const int64_t stages = std::min(kScheduleStages, steps);
  const bool ramp = spec.dropbp.schedule == "ramp";
  if (spec.dropbp.schedule == "constant" || stages < 1) return {{0, target}};
  Course course;
  if (!ramp) course[0] = target;
  const int64_t begin = ramp ? 0 : total_steps - steps;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const int64_t level = ramp ? stage : stages - 1 - stage;
    course[begin + stage * steps / stages] =
        target * static_cast<double>(level) / static_cast<double>(stages);
  }
  if (ramp) course[steps] = target;
  return course;
}

std::vector<int64_t> ProbeSteps(const JobSpec& spec, int64_t total_steps) {
  std::vector<int64_t> steps;
  const int64_t first = ProbeStep(spec, total_steps);
  if (first < 0) return steps;
  const int64_t every = spec.dropbp.probe_every;
  for (int64_t step = first; step < total_steps; step += every) {
    steps.push_back(step);
    if (every == 0) break;
  }
  return steps;
}

// The first step from `step` on at which something is dropped; -1 if there is none.
int64_t FirstDroppingStep(const Course& course, int64_t step) {
  auto at = std::prev(course.upper_bound(step));
  if (at->second > 0) return step;
  at = std::find_if(at, course.end(), [](const auto& entry) { return entry.second > 0; });
  return at == course.end() ? -1 : at->first;
}

double MaxUnitRate(const JobSpec& spec, double target) {
  return spec.dropbp.max_unit_rate > 0 ? spec.dropbp.max_unit_rate : DefaultMaxUnitRate(target);
}

}  // namespace

std::vector<PlanStage> PlanStages(const JobSpec& spec, int64_t total_steps) {
  const Course course = CourseOf(spec, total_steps);
  std::map<int64_t, PlanStage> stages;
  for (const auto& [step, target] : course) {
    stages[step] = {.first_step = step, .target = target};
  }
  for (int64_t wanted : ProbeSteps(spec, total_steps)) {
    const int64_t step = FirstDroppingStep(course, wanted);
    if (step < 0) continue;
    const double target = std::prev(course.upper_bound(step))->second;
    stages[step] = {.first_step = step, .target = target, .probe = true};
  }
  std::vector<PlanStage> list;
  if (stages.at(0).probe) list.push_back({.target = stages.at(0).target});
  for (auto& [step, stage] : stages) {
    stage.version = static_cast<int32_t>(list.size()) + 1;
    list.push_back(stage);
  }
  return list;
}

absl::StatusOr<DropPlan> MakeStagePlan(const LayerTable& table, const JobSpec& spec,
                                       const PlanStage& stage,
                                       absl::Span<const double> sensitivities) {
  if (spec.dropbp.allocation == "depth") {
    return MakeNestedPlan(table, MaskRowsOfRank(spec), MaskGroups(spec), stage.target,
                          stage.version, stage.first_step);
  }
  ASSIGN_OR_RETURN(const Allocator wanted, ParseAllocator(spec.dropbp.allocation));
  const std::vector<int64_t> costs = UnitCosts(table);
  const std::vector<double> none(costs.size(), 0.0);
  const bool uniform = sensitivities.empty();
  ASSIGN_OR_RETURN(const std::vector<double> rates,
                   AllocateDropRates(uniform ? Allocator::kUniform : wanted, costs,
                                     uniform ? absl::MakeConstSpan(none) : sensitivities,
                                     stage.target, MaxUnitRate(spec, stage.target)));
  return MakeDropPlan(table, rates, stage.target, stage.version, stage.first_step);
}

std::vector<int64_t> UnitCosts(const LayerTable& table) {
  std::vector<int64_t> costs;
  for (const Unit& unit : table.units) costs.push_back(unit.backward_flops);
  return costs;
}

}  // namespace dropbp
