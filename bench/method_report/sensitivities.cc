#include "bench/method_report/sensitivities.h"

#include <cmath>

namespace dropbp::bench {

std::vector<double> RandomSensitivities(const LayerTable& table, PhiloxStream& random) {
  std::vector<double> sensitivities(table.units.size());
  for (double& s : sensitivities) s = std::pow(10.0, 4 * random.Uniform() - 2);
  return sensitivities;
}

std::vector<double> FallingSensitivities(const LayerTable& table, PhiloxStream& random) {
  std::vector<double> sensitivities;
  const auto layers = static_cast<double>(table.units.back().layer + 1);
  for (const Unit& unit : table.units) {
    const double depth = static_cast<double>(unit.layer) / layers;
    sensitivities.push_back(std::pow(10.0, -2 * depth + random.Uniform() - 0.5));
  }
  return sensitivities;
}

}  // namespace dropbp::bench
