#include "core/plan/estimator.h"

namespace dropbp {

std::vector<double> KeepScales(const DropPlan& plan) {
  std::vector<double> scales;
  for (uint32_t keep_rate : plan.keep_rates) {
    scales.push_back(keep_rate == 0 ? 1.0 : static_cast<double>(kKeepOne) / keep_rate);
  }
  return scales;
}

std::vector<double> OwnScales(const DropPlan& plan, const std::vector<MaskRow>& rows) {
  std::vector<double> scales = KeepScales(plan);
  for (size_t unit = 0; unit < scales.size(); ++unit) {
    uint64_t kept = 0;
    for (const MaskRow& row : rows) kept += row[unit] ? 1 : 0;
    const bool always = plan.nested() || rows.size() * uint64_t{plan.keep_rates[unit]} >= kKeepOne;
    if (kept == 0) scales[unit] = 1;
    if (kept > 0 && always) {
      scales[unit] = static_cast<double>(rows.size()) / static_cast<double>(kept);
    }
  }
  return scales;
}

}  // namespace dropbp
