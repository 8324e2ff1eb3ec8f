#include "core/plan/traffic.h"

#include <algorithm>

namespace dropbp {

double LiveProbability(const DropPlan& plan, size_t unit, int rows) {
  return std::min(1.0, rows * (static_cast<double>(plan.keep_rates[unit]) / kKeepOne));
}

double ExpectedLiveElements(const LayerTable& table, const DropPlan& plan, int rows) {
  double elements = static_cast<double>(table.fixed_trainable_elements);
  for (size_t unit = 0; unit < table.units.size(); ++unit) {
    elements += LiveProbability(plan, unit, rows) *
                static_cast<double>(table.units[unit].trainable_elements);
  }
  return elements;
}

double TrafficFactor(const LayerTable& table, const DropPlan& plan, int rows) {
  return ExpectedLiveElements(table, plan, rows) / static_cast<double>(table.TrainableElements());
}

}  // namespace dropbp
