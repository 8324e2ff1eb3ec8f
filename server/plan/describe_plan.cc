#include "server/plan/describe_plan.h"

#include "core/plan/mask_plan.h"

namespace dropbp::server {
namespace {

std::string MasksReason(const JobSpec& spec) {
  if (spec.dropbp.masks != "auto") return "";
  return spec.method == "full"
             ? "full fine-tuning: a unit that every rank drops sends no gradient"
             : "adapters: gradients are small, and many masks a step give every unit some";
}

}  // namespace

v1::DropPlan DescribePlan(const JobSpec& spec, const LayerTable& table, const DropPlan& plan,
                          double supervised_share) {
  v1::DropPlan message;
  message.set_version(plan.version);
  message.set_first_step(plan.first_step);
  message.set_target_drop_rate(plan.target);
  message.set_planned_drop_rate(plan.planned);
  message.set_speed_limit(SpeedLimit(table, plan, supervised_share));
  message.set_allocation(plan.nested() ? "depth" : "uniform");
  message.set_masks(ResolvedMasks(spec));
  message.set_masks_reason(MasksReason(spec));
  message.set_rows(MaskRows(spec));
  message.set_mask_groups(MaskGroups(spec));
  message.set_estimator(ResolvedEstimator(spec));
  message.set_dropped_update(spec.dropbp.dropped_update);
  message.set_schedule(spec.dropbp.schedule);
  for (size_t i = 0; i < table.units.size(); ++i) {
    v1::UnitPlan* unit = message.add_units();
    unit->set_layer(static_cast<int32_t>(table.units[i].layer));
    unit->set_kind(static_cast<v1::UnitPlan::Kind>(table.units[i].kind));
    unit->set_backward_flops(table.units[i].backward_flops);
    unit->set_drop_rate(plan.DropRate(i));
  }
  return message;
}

}  // namespace dropbp::server
