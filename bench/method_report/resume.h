// Whether a job that starts again goes on with the masks that it would have had.
#pragma once

#include "bench/method_report/report.h"
#include "bench/method_report/ways.h"
#include "core/base/status.h"

namespace dropbp::bench {

// Steps in [restart, steps) whose masks differ: `unbroken` draws every step from 0 on, `restarted`
// those from `restart` on, as a process does that starts again from a checkpoint. Both are new.
int64_t DifferentSteps(const StepRows& unbroken, const StepRows& restarted, int64_t restart,
                       int64_t steps);

// Of 1,000 steps of LLaMA2-7B on one rank at drop rate .5, started again at two of them.
absl::StatusOr<Section> ResumeSection();

}  // namespace dropbp::bench
