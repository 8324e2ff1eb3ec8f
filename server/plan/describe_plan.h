// A drop plan as users see it.
#pragma once

#include "core/job/job_spec.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"
#include "dropbp/v1/plan.pb.h"

namespace dropbp::server {

// Everything about one plan but its stages and what a probe found; `allocation` is depth or
// uniform.
// `supervised_share`: share of the tokens that carry loss.
v1::DropPlan DescribePlan(const JobSpec& spec, const LayerTable& table, const DropPlan& plan,
                          double supervised_share);

}  // namespace dropbp::server
