#include "worker/trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace dropbp::trainer {

absl::StatusOr<LearningRateSchedule> LearningRateSchedule::Make(const TrainingSpec& spec,
                                                                int64_t total_steps) {
  Shape shape;
  if (spec.schedule == "cosine") {
    shape = Shape::kCosine;
  } else if (spec.schedule == "linear") {
    shape = Shape::kLinear;
  } else if (spec.schedule == "constant") {
    shape = Shape::kConstant;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("training.schedule: found \"", spec.schedule,
                                                   "\", legal are cosine, linear, constant"));
  }
  const auto warmup =
      static_cast<int64_t>(std::ceil(spec.warmup_ratio * static_cast<double>(total_steps)));
  return LearningRateSchedule(shape, spec.learning_rate, warmup, total_steps);
}

double LearningRateSchedule::At(int64_t step) const {
  if (step < warmup_steps_) {
    return peak_ * static_cast<double>(step) / static_cast<double>(warmup_steps_);
  }
  const auto decay_steps = static_cast<double>(std::max<int64_t>(1, total_steps_ - warmup_steps_));
  switch (shape_) {
    case Shape::kConstant:
      return peak_;
    case Shape::kLinear:
      return peak_ * std::max(0.0, static_cast<double>(total_steps_ - step) / decay_steps);
    case Shape::kCosine: {
      const double progress = static_cast<double>(step - warmup_steps_) / decay_steps;
      return peak_ * std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
    }
  }
  return peak_;
}

}  // namespace dropbp::trainer
