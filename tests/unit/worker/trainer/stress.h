// How long stress tests run.
#pragma once

#include <cstdlib>

namespace dropbp::trainer {

// Steps of a stress test: what DROPBP_STRESS_STEPS in the environment says, else `short_form`.
inline int StressSteps(int short_form) {
  const char* steps = std::getenv("DROPBP_STRESS_STEPS");
  return steps == nullptr ? short_form : std::atoi(steps);
}

}  // namespace dropbp::trainer
