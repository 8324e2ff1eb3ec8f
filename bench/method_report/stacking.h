// Whether the sensitivity probe would gain by walking backward with many cotangents at once.
//
// Every unit is passed by the suffixes of all units above it, each with a cotangent of its own
// (probe.h, Note [Suffixes]). Passed one by one, each is a batch of its own; stacked, they are one
// batch, for which weights are read once.
#pragma once

#include "bench/method_report/report.h"
#include "bench/method_report/sensitivity.h"
#include "core/base/status.h"

namespace dropbp::bench {

// Backward passes of 2, 8 and 30 cotangents (a unit of SmolLM2 is passed by 30 on average) through
// one layer of SmolLM2-135M's sizes with random weights: seconds one by one and stacked, and the
// largest difference of the resulting cotangents. The stacked pass takes the activations repeated,
// and sums parameters' gradients over the cotangents, where a probe would need each cotangent's:
// what is measured is the most that stacking can give. Of `options`: method, dtype, threads,
// max_length (tokens of one sequence).
absl::StatusOr<Section> StackingSection(const ProbeOptions& options);

}  // namespace dropbp::bench
