// Gradient bytes that full fine-tuning sends, by the trainer's own code.
#pragma once

#include <vector>

#include "bench/method_report/report.h"
#include "core/base/status.h"
#include "core/plan/layer_table.h"
#include "worker/trainer/collective/buckets.h"

namespace dropbp::bench {

// One bucket for each unit, of its trainable elements, and one for what is never dropped.
std::vector<trainer::Bucket> UnitBuckets(const LayerTable& table);

// All-reduced bytes over those of a dense reduction, LLaMA2-7B, full fine-tuning at .5, .75 and
// .875 with uniform, quadratic and depth rates, for 1 and 4 mask rows a step: mean over `steps`
// steps, beside the formula of a plan; and what then is left where parameters are fully sharded.
absl::StatusOr<Section> TrafficSection(int64_t steps);

}  // namespace dropbp::bench
