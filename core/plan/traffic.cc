#include "core/plan/traffic.h"

#include <algorithm>
#include <cmath>

namespace dropbp {

double LiveProbability(const DropPlan& plan, size_t unit, int rows) {
  const double rate = static_cast<double>(plan.keep_rates[unit]) / kKeepOne;
  if (!plan.nested()) return std::min(1.0, rows * rate);
  // Blocks of one row draw alike, others for themselves.
  const int blocks = plan.block.rows == 1 ? 1 : rows / plan.block.rows;
  return 1 - std::pow(1 - std::min(1.0, plan.block.rows * rate), blocks);
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
