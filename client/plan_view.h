// Drop plans as text.
#pragma once

#include "client/console.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/jobs_service.pb.h"

namespace dropbp::client {

// The drop rates in force: a summary, the job's stages if it has several, one line a unit with
// cost, sensitivity, drop rate and its bar, and both figures over the depth of the model as a plot.
void PrintPlan(const v1::Job& job, const Sink& sink);

// What a job would cost: the plan of its first step, stages, traffic and memory.
void PrintDryPlan(const v1::PlanJobResponse& plan, const Sink& sink);

}  // namespace dropbp::client
