// The learning rate of each optimizer step, as transformers'
// get_{cosine,linear,constant}_schedule_with_warmup gives it.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp::trainer {

// Linear warm-up over ceil(warmup_ratio * steps) steps from 0, then:
// constant: the peak; linear: down to 0; cosine: half a cosine period down to 0.
// A pure function of the step: nothing to store, nothing to resume. Immutable; safe to share among
// threads.
class LearningRateSchedule {
 public:
  // INVALID_ARGUMENT for a schedule that is none of the three.
  static absl::StatusOr<LearningRateSchedule> Make(const TrainingSpec& spec, int64_t total_steps);

  // Learning rate of optimizer step `step`, counted from 0.
  double At(int64_t step) const;

  int64_t warmup_steps() const { return warmup_steps_; }

 private:
  enum class Shape { kCosine, kLinear, kConstant };

  LearningRateSchedule(Shape shape, double peak, int64_t warmup_steps, int64_t total_steps)
      : shape_(shape), peak_(peak), warmup_steps_(warmup_steps), total_steps_(total_steps) {}

  Shape shape_;
  double peak_;
  int64_t warmup_steps_;
  int64_t total_steps_;
};

}  // namespace dropbp::trainer
