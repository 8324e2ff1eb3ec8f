// Sensitivities to allocate by, where none are measured.
#pragma once

#include <vector>

#include "core/base/philox.h"
#include "core/plan/layer_table.h"

namespace dropbp::bench {

// Independent, log-uniform over four decades.
std::vector<double> RandomSensitivities(const LayerTable& table, PhiloxStream& random);

// Of a made-up falling shape: two decades lower in the last layer than in the
// first, with a spread of one decade around that.
std::vector<double> FallingSensitivities(const LayerTable& table, PhiloxStream& random);

}  // namespace dropbp::bench
